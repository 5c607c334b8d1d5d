package httpapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"banger"
	"banger/api"
	"banger/sessionstream"
)

func TestAPI_EveryRouteIsServed(t *testing.T) {
	r := newRig(t)
	for _, route := range api.Routes() {
		path := strings.NewReplacer("{vm}", "v", "{session}", "s", "{image}", "i").Replace(route.Path)
		for _, p := range route.Query {
			if p.Required {
				path += "?" + p.Name + "=1"
			}
		}
		body := ""
		if route.Body != nil {
			body = "{}"
		}
		if route.Kind == api.KindUpgrade {
			answer := r.open(t.Context(), route.Method, path, body, "Connection", "Upgrade", "Upgrade", route.Upgrade,
				"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "c2l4dGVlbiBieXRlcyBrZQ==", "Sec-WebSocket-Protocol", sessionstream.UpgradeToken)
			answer.Body.Close()
			if answer.StatusCode != route.Status {
				t.Errorf("%s %s answers %s, want %d", route.Method, path, answer.Status, route.Status)
			}
			continue
		}
		status, answer := r.do(route.Method, path, body)
		if status != route.Status {
			t.Errorf("%s %s answers %d, want %d: %s", route.Method, path, status, route.Status, answer)
		}
	}
}

func TestAPI_PlainCurlWorks(t *testing.T) {
	r := newRig(t)
	curl := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS", "--unix-socket", r.socket}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("curl %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	if got := curl("http://x/v1/vms"); !strings.Contains(got, `"vms":[{`) {
		t.Errorf("list: %s", got)
	}
	curl("http://x/v1/vms", "-d", `{"name":"dev"}`)
	curl("-G", "http://x/v1/sessions", "--data-urlencode", "tag=a=b c")
	curl("http://x/v1/vms/a/sessions/b/stdin?eof=true", "--data-binary", "x\ny")
	if got := curl("-i", "-X", "POST", "http://x/v1/shutdown"); !strings.Contains(got, "202") || !strings.Contains(got, "Banger-Version: v1.2.3") {
		t.Errorf("shutdown: %s", got)
	}
	want := []string{
		"ListVMs",
		fmt.Sprintf("CreateVM %+v", banger.VMRequest{Name: "dev"}),
		`PageSessions {"" "" map["a":"b c"]} "" 0`,
		`SendSession "a" "b" "x\ny" true`,
		"Shutdown",
	}
	if got := r.fake.Calls(); !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
}

func TestAPI_RefsHoldAnyByte(t *testing.T) {
	r := newRig(t)
	for _, ref := range []string{"plain", "..", ".", "a/b", "a\nb", "\xff\x00", "übung", "%2F", "a b?c#d", "//", "{vm}"} {
		if status, answer := r.do("GET", api.Path("/v1/vms/{vm}/sessions/{session}", ref, ref), ""); status != http.StatusOK {
			t.Errorf("ref %q: status %d: %s", ref, status, answer)
		}
		if got, want := r.fake.Calls(), []string{fmt.Sprintf("GetSession %q %q", ref, ref)}; !slices.Equal(got, want) {
			t.Errorf("ref %q arrived as %q", ref, got)
		}
	}
}

func TestAPI_BytesThatAreNoTextArriveAsTheyAre(t *testing.T) {
	r := newRig(t)
	r.fake.Session.Args = []banger.ByteString{"\xff\n"}
	body := `{"command":"printf","args":["a\n\"$(x)'",{"base64":"/wo="}],"env":{"A":{"base64":"gA=="}},"stdin_mode":"closed","tty":false}`
	status, answer := r.do("POST", "/v1/vms/dev/sessions", body)
	if status != http.StatusCreated || !strings.Contains(answer, `"args":[{"base64":"/wo="}]`) {
		t.Errorf("status %d: %s", status, answer)
	}
	want := []string{`StartSession "dev" "printf" ["a\n\"$(x)'" "\xff\n"] map[A:` + "\x80]"}
	if got := r.fake.Calls(); !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
}

func TestAPI_RefusesWhatItDoesNotKnow(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ method, path, body, text string }{
		{"POST", "/v1/vms", `{"nmae":"dev"}`, `"nmae"`},
		{"POST", "/v1/vms", `{"name":"dev"} {}`, "more after its end"},
		{"POST", "/v1/vms", `{"name":`, "unexpected EOF"},
		{"POST", "/v1/vms", ``, "empty"},
		{"POST", "/v1/vms", `{"cpus":"two"}`, "cpus"},
		{"GET", "/v1/vms?all=true", "", `"all"`},
		{"POST", "/v1/vms/a/sessions/b/attach?from=1", "", `"from"`},
		{"GET", "/v1/events?since=1&since=2", "", `"since"`},
		{"GET", "/v1/events?since=1e3", "", "since"},
		{"GET", "/v1/sessions?limit=0", "", "limit"},
		{"GET", "/v1/sessions/summaries?limit=1001", "", "at most 1000"},
		{"POST", "/v1/vms/a/sessions/b/signal", "", "signal is missing"},
		{"GET", "/v1/search", "", "regex is missing"},
		{"GET", "/v1/vms/a/sessions/b/logs?cursor=1,2&cursor=1,2", "", `"cursor"`},
		{"GET", "/v1/vms/a/sessions/b/logs?limit_bytes=9223372036854775808", "", "limit_bytes"},
		{"DELETE", "/v1/vms/a?force=yes", "", "true or false"},
		{"DELETE", "/v1/vms/a?force=true&force=true", "", "2 times"},
		{"POST", "/v1/vms/a/stop?grace_ms=10s", "", "milliseconds"},
		{"POST", "/v1/vms/a/stop?grace_ms=-1", "", "negative"},
		{"POST", "/v1/vms/a/stop?grace_ms=9223372036855", "", "milliseconds"},
		{"POST", "/v1/vms/a/stop?grace_ms=0", "", "at least 1"},
		{"POST", "/v1/vms/a/sessions/b/stop?grace_ms=0", "", "at least 1"},
		{"GET", "/v1/vms/a/console-log?max_bytes=-1", "", "-1"},
		{"GET", "/v1/sessions?tag=x", "", "KEY=VALUE"},
		{"GET", "/v1/vms/a/sessions/b/logs?cursor=1", "", "STDOUT,STDERR"},
		{"GET", "/v1/vms/a/sessions/b/logs?lines=x", "", "lines"},
		{"GET", "/v1/vms/a;b?c;d", "", "semicolon"},
	} {
		status, answer := r.do(c.method, c.path, c.body)
		r.wantError(status, answer, http.StatusBadRequest, banger.CodeInvalid, c.text)
	}
	status, answer := r.do("PUT", "/v1/vm", "")
	r.wantError(status, answer, http.StatusNotFound, banger.CodeNotFound, "no such route")
	if calls := r.fake.Calls(); len(calls) != 0 {
		t.Errorf("services were called: %q", calls)
	}
}

func TestAPI_AnotherMethodOfAKnownPathIsToldWhichItTakes(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ method, path, allow string }{
		{"PUT", "/v1/vms", "GET, HEAD, POST"},
		{"POST", "/v1/vms/a", "DELETE, GET, HEAD, PATCH"},
		{"GET", "/v1/vms/a/start", "POST"},
		{"PATCH", "/v1/vms/a%2Fb/sessions/..%2F", "DELETE, GET, HEAD"},
		{"GET", "/v1/vms/a/sessions", "POST"},
		{"DELETE", "/v1/events", "GET, HEAD"},
		{"OPTIONS", "/openapi.json", "GET, HEAD"},
	} {
		resp := r.open(t.Context(), c.method, c.path, "")
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if allow := resp.Header.Get("Allow"); allow != c.allow {
			t.Errorf("%s %s: Allow is %q, want %q", c.method, c.path, allow, c.allow)
		}
		r.wantError(resp.StatusCode, string(answer), http.StatusMethodNotAllowed, banger.CodeInvalid, c.allow)
	}
	if calls := r.fake.Calls(); len(calls) != 0 {
		t.Errorf("services were called: %q", calls)
	}
}

func TestAPI_ErrorsSpeakOfJSONAndNotOfGo(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ method, path, body, text string }{
		{"POST", "/v1/vms", `{"cpus":"two"}`, "member cpus is a string and has to be an integer"},
		{"POST", "/v1/vms/a/sessions", `{"command":5}`, "member command is a number and has to be a string"},
		{"POST", "/v1/vms/a/sessions", `{"window":{"rows":-1}}`, "member window.rows is -1 and has to be an integer from 0 to 65535"},
		{"POST", "/v1/vms/a/sessions", `{"cmd":"x"}`, `there is no member "cmd"`},
		{"GET", "/v1/vms/a/sessions/b/logs?lines=x", "", "an integer"},
		{"GET", "/v1/vms/a/sessions/b/logs?since=yesterday", "", "RFC 3339"},
		{"GET", "/v1/vms/a/sessions/b/wait?timeout_ms=10s", "", "milliseconds"},
	} {
		status, answer := r.do(c.method, c.path, c.body)
		e := r.wantError(status, answer, http.StatusBadRequest, banger.CodeInvalid, c.text)
		for _, word := range []string{"json:", "Go ", "strconv", "time:", "struct", "04:05.999"} {
			if strings.Contains(e.Message, word) {
				t.Errorf("%s %s: %q speaks of Go: %q", c.method, c.path, e.Message, word)
			}
		}
	}
}

func TestAPI_ErrorsArriveWhole(t *testing.T) {
	r := newRig(t)
	cause := banger.Errorf(banger.CodeAmbiguous, "cannot tell which").WithHint("say more")
	cause.Candidates = []string{"a", "b"}
	r.fake.Err = fmt.Errorf("cannot show VM: %w", cause)
	status, answer := r.do("GET", "/v1/vms/x", "")
	got := r.wantError(status, answer, http.StatusConflict, banger.CodeAmbiguous, "cannot show VM: cannot tell which")
	if got.Hint != "say more" || !slices.Equal(got.Candidates, []string{"a", "b"}) {
		t.Errorf("got %+v", got)
	}
	r.fake.Err = errors.New("cannot do it")
	status, answer = r.do("GET", "/v1/vms/x", "")
	r.wantError(status, answer, http.StatusInternalServerError, banger.CodeInternal, "cannot do it")
}

func TestAPI_AQuestionArrivesBesideItsError(t *testing.T) {
	r := newRig(t)
	asked := banger.Errorf(banger.CodeQuestion, "the host key of lab is not known").WithHint("log in once with ssh")
	asked.Question = &banger.Question{Kind: banger.AskHostKey, Subject: "[lab]:22", Fingerprint: "SHA256:x", KeyType: "ssh-ed25519", Again: true}
	r.fake.Err = fmt.Errorf("cannot add VM lab: %w", asked)
	for path, body := range map[string]string{"/v1/remotes": `{"name":"lab","ssh":"lab"}`, "/v1/vms/lab/unlock": `{"passphrases":{"/k":"x"},"agent_socket":"/a"}`} {
		status, answer := r.do("POST", path, body)
		got := r.wantError(status, answer, http.StatusConflict, banger.CodeQuestion, "cannot add VM lab: the host key of lab is not known")
		if got.Question == nil || *got.Question != *asked.Question || got.Hint != asked.Hint {
			t.Errorf("%s: got %+v", path, got)
		}
	}
	want := []string{"AddRemote {Name:lab SSH:lab IdentityFile: Answers:{HostKeys:[] Passphrases:map[] AgentSocket:}}", `UnlockRemote "lab" {HostKeys:[] Passphrases:map[/k:x] AgentSocket:/a}`}
	calls := r.fake.Calls()
	slices.Sort(calls)
	if !slices.Equal(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
	status, answer := r.do("POST", "/v1/vms/lab/unlock", `{"password":"x"}`)
	r.wantError(status, answer, http.StatusBadRequest, banger.CodeInvalid, `"password"`)
}

func TestAPI_OtherVersionIsToldWhatToDo(t *testing.T) {
	r := newRig(t)
	for version, works := range map[string]bool{"v1.2.3": true, "v1.9.0": true, "v2.2.3": false, "dev": false, "v1.2.3-5-gabc": false} {
		status, answer := r.do("GET", "/v1/vms", "", api.HeaderVersion, version)
		if works {
			if status != http.StatusOK {
				t.Errorf("version %s: status %d", version, status)
			}
			continue
		}
		got := r.wantError(status, answer, http.StatusBadRequest, banger.CodeMismatch, version)
		if !strings.Contains(got.Hint, "banger daemon stop") {
			t.Errorf("hint %q", got.Hint)
		}
		for _, path := range []string{"GET /v1/info", "POST /v1/shutdown"} {
			method, path, _ := strings.Cut(path, " ")
			if status, answer := r.do(method, path, "", api.HeaderVersion, version); status >= 300 {
				t.Errorf("%s with version %s: %d %s", path, version, status, answer)
			}
		}
	}
}

func TestAPI_DescriptionIsTheOneCheckedIn(t *testing.T) {
	r := newRig(t)
	_, answer := r.do("GET", "/openapi.json", "")
	var got, want any
	if err := errors.Join(json.Unmarshal([]byte(answer), &got), json.Unmarshal(api.OpenAPI, &want)); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Error("the served description differs from api/openapi.json")
	}
}

func TestAPI_MachineIsNeverSent(t *testing.T) {
	r := newRig(t)
	r.fake.VM.Machine = json.RawMessage(`{"secret":1}`)
	for _, path := range []string{"/v1/vms", "/v1/vms/a"} {
		if _, answer := r.do("GET", path, ""); strings.Contains(answer, "secret") || !strings.Contains(answer, `"state"`) {
			t.Errorf("%s: %s", path, answer)
		}
	}
}
