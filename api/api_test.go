package api

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"

	"banger"
)

func TestCheckVersions_SaysWhoWorksWithWhom(t *testing.T) {
	for _, c := range []struct {
		client, daemon string
		works          bool
	}{
		{"", "v1.0.0", true},
		{"dev", "dev", true},
		{"v1.2.3", "v1.9.0", true},
		{"v1.2.3", "v2.0.0", false},
		{"v0.1.0", "v0.1.9", true},
		{"v0.1.0", "v0.2.0", false},
		{"dev", "v1.0.0", false},
		{"v1.0.0-3-gabc", "v1.0.0", false},
		{"v1.0.0-3-gabc", "v1.0.0-3-gabc", true},
	} {
		err := CheckVersions(c.client, c.daemon)
		if (err == nil) != c.works {
			t.Errorf("client %q and daemon %q: %v", c.client, c.daemon, err)
		}
		if err != nil && banger.CodeOf(err) != banger.CodeMismatch {
			t.Errorf("code %s", banger.CodeOf(err))
		}
	}
}

func TestStatusOf_IsKnownOfEveryCode(t *testing.T) {
	want := map[banger.Code]int{
		banger.CodeInvalid: 400, banger.CodeNotFound: 404, banger.CodeAmbiguous: 409, banger.CodeExists: 409,
		banger.CodeInUse: 409, banger.CodeState: 409, banger.CodeUnavailable: 503, banger.CodeTimeout: 504,
		banger.CodeMissing: 501, banger.CodeCorrupt: 500, banger.CodeGone: 410, banger.CodeMismatch: 400, banger.CodeInternal: 500, banger.CodeQuestion: 409, banger.CodeStaleEpoch: 409,
	}
	for _, code := range banger.Codes() {
		if got := StatusOf(code); got != want[code] {
			t.Errorf("%s has status %d, want %d", code, got, want[code])
		}
	}
	if len(want) != len(banger.Codes()) {
		t.Errorf("there are %d codes, want %d", len(banger.Codes()), len(want))
	}
}

func TestPath_EscapesWhatIsNoWord(t *testing.T) {
	got := Path("/v1/vms/{vm}/sessions/{session}", "..", "a/b\n\xff-_Z9")
	if want := "/v1/vms/%2E%2E/sessions/a%2Fb%0A%FF-_Z9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCursor_ComesBack(t *testing.T) {
	for _, want := range []banger.LogCursor{{Stdout: 1 << 40, Stderr: 7}, {Epoch: "e", Stdout: 1, Stderr: 2}} {
		if got, err := ParseCursor(FormatCursor(want)); err != nil || got != want {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	for _, bad := range []string{"", "1", "1,", "1,-2", "1,2,3", "a,b", ":1,2", "e:1", "e:f:1,2"} {
		if _, err := ParseCursor(bad); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestRoutes_AreDistinct(t *testing.T) {
	var ids []string
	for _, r := range Routes() {
		if r.Status == 0 || r.Summary == "" || slices.Contains(ids, r.ID) {
			t.Errorf("route %+v", r)
		}
		ids = append(ids, r.ID)
	}
}

func TestLogLine_IsAPlainChunkToOthers(t *testing.T) {
	data, err := json.Marshal(LogLine{LogChunk: &banger.LogChunk{Stream: "stdout", Offset: 3, Data: []byte("hi")}})
	if err != nil || string(data) != `{"stream":"stdout","offset":3,"data":"aGk="}` {
		t.Errorf("%s, %v", data, err)
	}
	var end LogLine
	if err := json.Unmarshal([]byte(`{"end":{"next":{"stdout":3,"stderr":0},"at_end":true,"ended":false}}`), &end); err != nil || end.LogChunk != nil || end.End == nil || end.End.Next.Stdout != 3 {
		t.Errorf("%+v, %v", end, err)
	}
}

func TestAPIDoc_HasEveryCodeWithItsStatus(t *testing.T) {
	page, err := os.ReadFile("../docs/API.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range banger.Codes() {
		row := regexp.MustCompile(fmt.Sprintf(`(?m)^\| .%s. \| %d[,\d ]* \| .+ \| .+ \|$`, code, StatusOf(code)))
		if !row.Match(page) {
			t.Errorf("docs/API.md does not say what a client does about %s, with status %d", code, StatusOf(code))
		}
	}
}
