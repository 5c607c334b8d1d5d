//go:build !unit

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"banger"
	"banger/api"
	"banger/internal/hosttest"
	"banger/internal/httpapi/httpapitest"
	"banger/internal/servicetest"
	"banger/sessionstream"
)

// bin holds the guest's programs; TestMain sets it once.
var bin hosttest.Binaries

func TestMain(m *testing.M) {
	os.Exit(hosttest.Main(m, func(b hosttest.Binaries) { bin = b }))
}

// judge holds live answers against api/openapi.json.
type judge struct {
	*testing.T
	document map[string]any
	compiler *jsonschema.Compiler
	client   *http.Client
	judged   map[string]bool // operations of which a success was seen
}

const documentURL = "http://banger/openapi.json"

func newJudge(t *testing.T) *judge {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(api.OpenAPI))
	if err != nil {
		t.Fatal(err)
	}
	j := &judge{T: t, document: document.(map[string]any), compiler: jsonschema.NewCompiler(), judged: map[string]bool{}}
	j.compiler.AssertFormat()
	if err := j.compiler.AddResource(documentURL, document); err != nil {
		t.Fatal(err)
	}
	return j
}

// at makes the judge ask the daemon of a socket.
func (j *judge) at(socket string) {
	j.client = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
}

// ask sends a request of an operation and judges the answer, or that number of lines of it; 0
// is all of them. It returns the last one.
func (j *judge) ask(id, query, body string, lines int, refs ...string) map[string]any {
	j.Helper()
	i := slices.IndexFunc(api.Routes(), func(r api.Route) bool { return r.ID == id })
	route := api.Routes()[i]
	request, err := http.NewRequestWithContext(j.Context(), route.Method, "http://banger"+api.Path(route.Path, refs...)+query, strings.NewReader(body))
	if err != nil {
		j.Fatal(err)
	}
	answer, err := j.client.Do(request)
	if err != nil {
		j.Fatal(err)
	}
	defer answer.Body.Close()
	schema := j.schema(route, answer.StatusCode)
	if answer.StatusCode == route.Status {
		j.judged[id] = true
	}
	if schema == nil {
		return nil
	}
	var last map[string]any
	in := bufio.NewReader(answer.Body)
	for n := 0; lines == 0 || n < lines; n++ {
		line, err := in.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		value, jsonErr := jsonschema.UnmarshalJSON(bytes.NewReader(line))
		if jsonErr != nil {
			j.Fatalf("%s: %q: %v", id, line, jsonErr)
		}
		if err := schema.Validate(value); err != nil {
			j.Errorf("%s answers %d with what does not fit: %v\n%s", id, answer.StatusCode, err, line)
		}
		last = value.(map[string]any)
	}
	return last
}

// askUpgrade asks for the upgrade that an operation is for, and judges the answer.
func (j *judge) askUpgrade(id, body string, refs ...string) {
	j.Helper()
	i := slices.IndexFunc(api.Routes(), func(r api.Route) bool { return r.ID == id })
	route := api.Routes()[i]
	request, err := http.NewRequestWithContext(j.Context(), route.Method, "http://banger"+api.Path(route.Path, refs...), strings.NewReader(body))
	if err != nil {
		j.Fatal(err)
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", route.Upgrade)
	request.Header.Set("Sec-WebSocket-Version", "13") // RFC 6455, section 1.3; without meaning elsewhere
	request.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	request.Header.Set("Sec-WebSocket-Protocol", sessionstream.UpgradeToken)
	answer, err := j.client.Do(request)
	if err != nil {
		j.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != route.Status || answer.Header.Get("Upgrade") != route.Upgrade {
		j.Errorf("%s answers %s, upgrade %q", id, answer.Status, answer.Header.Get("Upgrade"))
	}
	if j.schema(route, answer.StatusCode) == nil {
		j.judged[id] = true
	}
}

// schema returns that of an answer's body, nil if there is none. A status that is not
// described is that of the response default, which no success can be.
func (j *judge) schema(route api.Route, status int) *jsonschema.Schema {
	j.Helper()
	method := strings.ToLower(route.Method)
	operation := j.document["paths"].(map[string]any)[route.Path].(map[string]any)[method].(map[string]any)
	response, ok := operation["responses"].(map[string]any)[strconv.Itoa(status)].(map[string]any)
	if !ok {
		if status < 400 {
			j.Fatalf("%s answers %d, which is not described", route.ID, status)
		}
		j.Errorf("%s answers %d, which only the response default describes", route.ID, status)
		return nil
	}
	pointer := documentURL + "#/paths/" + strings.ReplaceAll(strings.ReplaceAll(route.Path, "~", "~0"), "/", "~1") + "/" + method + "/responses/" + strconv.Itoa(status)
	if ref, ok := response["$ref"].(string); ok {
		pointer = documentURL + ref
		name := ref[strings.LastIndexByte(ref, '/')+1:]
		response = j.document["components"].(map[string]any)["responses"].(map[string]any)[name].(map[string]any)
	}
	content, _ := response["content"].(map[string]any)
	for kind := range content {
		if kind == api.ContentBytes {
			return nil
		}
		pointer = strings.ReplaceAll(pointer, "{", "%7B")
		schema, err := j.compiler.Compile(strings.ReplaceAll(pointer, "}", "%7D") + "/content/" + strings.ReplaceAll(kind, "/", "~1") + "/schema")
		if err != nil {
			j.Fatal(err)
		}
		return schema
	}
	return nil
}

func TestOpenAPI_LiveAnswersFitTheirSchemas(t *testing.T) {
	j := newJudge(t)
	h := hosttest.New(t, bin)
	h.StartVM("vm")
	j.at(h.Paths.Socket())
	j.aSession()
	j.everyOtherRoute()
	for _, route := range api.Routes() {
		if !j.judged[route.ID] && route.Status != http.StatusNoContent && route.Status != http.StatusAccepted {
			t.Errorf("no live answer of %s was judged", route.ID)
		}
	}
}

// aSession judges the life of a session on a host with a real guest.
func (j *judge) aSession() {
	j.Helper()
	j.ask("listVMs", "", "", 0)
	j.ask("getVM", "", "", 0, "vm")
	j.ask("getVM", "", "", 0, "nobody")
	j.ask("listTrash", "", "", 0)
	j.ask("emptyTrash", "", "", 0)
	j.ask("diskUsage", "", "", 0)
	j.ask("listSessions", "", "", 0)
	start := `{"name":"s","command":"sh","args":["-c","read a; echo out $a; echo err >&2; cat; exit 3"],"stdin_mode":"pipe","tags":{"k":"v"},"env":{"A":{"base64":"/w=="}},"timeout_ms":60000}`
	j.ask("startSession", "", start, 0, "vm")
	j.ask("startSession", "", start, 0, "vm") // its name is taken
	j.ask("startSession", "", `{"command":"true","cwd":"/nowhere"}`, 0, "vm")
	j.ask("startSession", "", `{"command":"true","args":5}`, 0, "vm")
	j.ask("startSession", "", `{"name":"bare","command":"true","no_wait":true}`, 0, "vm")
	j.ask("waitSession", "?timeout_ms=20000", "", 0, "vm", "bare")
	j.ask("waitSession", "?timeout_ms=1", "", 0, "vm", "s")
	j.ask("attachSession", "", "", 0, "vm", "s") // which asks for no upgrade
	j.askUpgrade("attachSession", "", "vm", "s")
	j.ask("attachWebSocket", "", "", 0, "vm", "s")
	j.askUpgrade("attachWebSocket", "", "vm", "s")
	j.ask("execSession", "", `{"command":"true"}`, 0, "vm") // which asks for no upgrade
	j.askUpgrade("execSession", `{"command":"true"}`, "vm")
	j.ask("copyFiles", "", "", 0, "vm") // which asks for no upgrade
	j.askUpgrade("copyFiles", "", "vm")
	j.ask("signalSession", "?signal=nonsense", "", 0, "vm", "s")
	j.ask("getSession", "?live=true", "", 0, "vm", "s")
	j.ask("sendSession", "?offset=7", "x", 0, "vm", "s")
	j.ask("sendSession", "?eof=true", "you\n", 0, "vm", "s")
	if state := j.ask("waitSession", "", "", 0, "vm", "s"); fmt.Sprint(state["exit_code"]) != "3" {
		j.Errorf("the session is %v", state)
	}
	j.ask("readLogs", "?lines=-1", "", 0, "vm", "s")
	j.ask("readLogs", "?cursor=5", "", 0, "vm", "s")
	j.ask("matchSession", "?regex=out", "", 0, "vm", "s")
	j.ask("matchSession", "?regex=nothing", "", 0, "vm", "s")
	j.ask("searchSessions", "?regex=e", "", 0)
	j.ask("signalSession", "?signal=HUP", "", 0, "vm", "s")
	j.ask("stopSession", "?by=me", "", 0, "vm", "s")
	j.ask("startSession", "", `{"name":"t","command":"sleep","args":["1000"],"tty":true,"window":{"rows":2,"cols":3}}`, 0, "vm")
	j.ask("removeSession", "", "", 0, "vm", "t")
	j.ask("killSession", "", "", 0, "vm", "t")
	j.ask("summarizeSessions", "?tag=k%3Dv", "", 0)
	j.ask("listSessions", "?vm=vm", "", 0)
	j.ask("watchEvents", "?since=0", "", 12)
	j.ask("watchEvents", "?since=1000000", "", 0)
	j.ask("pruneSessions", "?keep=0&dry_run=true", "", 0)
	j.ask("pruneSessions", "", "", 0)
	j.ask("sshAccess", "", "", 0, "vm")
	j.ask("createVM", "", `{"name":"vm"}`, 0)
	j.ask("setVM", "", `{"autostart":true}`, 0, "vm")
	j.ask("renameVM", "", `{"name":"renamed"}`, 0, "vm")
	j.ask("renameVM", "", `{"name":"vm"}`, 0, "renamed")
	j.ask("deleteVM", "", "", 0, "vm")
	j.ask("stopVM", "?grace_ms=10000", "", 0, "vm")
	j.ask("startVM", "", "", 0, "vm")
}

// everyOtherRoute judges the routes that a host of a test does not have, of services
// that answer with records as full as they come.
func (j *judge) everyOtherRoute() {
	j.Helper()
	now := time.Now().UTC()
	fake := &servicetest.Fake{
		VM: banger.VM{ID: banger.NewVMID(), Name: "lab", Driver: "remote", State: banger.VMRunning, SSHTarget: "lab", UnreachableSince: now},
		Image: banger.Image{
			ID: "i", Name: "default", Recipe: banger.ImageRecipe{Suite: "bookworm", Include: []string{"git"}, Mirror: "http://m/"}, CreatedAt: now,
			Tags: []string{"node:22"}, OCI: &banger.OCIImage{
				Source: "node:22", Digest: "sha256:d", ConfigDigest: "sha256:c", Platform: "linux/amd64", Config: banger.ImageConfig{Cmd: []string{"node"}},
				Layers: []banger.ImageLayer{{Digest: "sha256:l", ChainID: "sha256:l", SizeBytes: 1}},
			},
		},
		Pulls: []banger.PullProgress{{Stage: banger.PullFetching, Layer: 1, Layers: 2, Bytes: 3, TotalBytes: 4, BytesPerSecond: 5, ElapsedMS: 6}},
		Kernels: []banger.Kernel{{
			ID: "k", Release: "6.12", Version: "6.12-1", Package: "linux-image-6.12", Suite: "bookworm-security", Architecture: "amd64",
			Digest: "sha256:k", SizeBytes: 1, VMs: []string{"lab"}, PulledAt: now,
		}},
		Progress: []banger.BuildProgress{{Stage: "fetching", Percent: 50, Detail: "1 of 2", ElapsedMS: 3}},
		Disk: banger.DiskUsage{
			UsedBytes: 3, Kinds: []banger.DiskSummary{{Kind: banger.DiskLayers, Count: 1, UsedBytes: 3, SharedBytes: 2}},
			Reclaimable: []banger.Reclaimable{{Command: "banger image prune", Count: 1, Bytes: 3}},
			Objects:     []banger.DiskObject{{Kind: banger.DiskLayers, Name: "sha256:l", UsedBytes: 3, Users: []string{"i", "j"}, Commands: []string{"banger image prune"}}},
		},
		PrunedImages: banger.ImagePruneResult{Images: []banger.Image{{ID: "j"}}, ReclaimedBytes: 7},
		OnBuild: func(_ context.Context, progress func(banger.BuildProgress)) (banger.Image, error) {
			progress(banger.BuildProgress{Stage: "unpack", Percent: 12.5, Detail: "git", ElapsedMS: 1500})
			return banger.Image{ID: "i", Name: "default", CreatedAt: now}, nil
		},
		OnLogs: func(_ context.Context, _ banger.LogRequest, fn func(banger.LogChunk) error) error {
			return fn(banger.LogChunk{Stream: banger.StreamStderr, Offset: 3, Gap: 7, Reason: banger.GapLogLimit})
		},
	}
	socket := filepath.Join(j.TempDir(), "s")
	httpapitest.NewDaemon(j, socket, "v1.2.3").Start(fake)
	j.at(socket)
	j.ask("createVM", "", `{}`, 0)
	j.ask("addRemote", "", `{"name":"lab","ssh":"lab"}`, 0)
	j.ask("unlockRemote", "", `{}`, 0, "lab")
	j.ask("consoleLog", "", "", 0, "lab")
	j.ask("readLogs", "", "", 0, "lab", "s")
	j.ask("buildImage", "", `{"name":"default"}`, 0)
	j.ask("pullImage", "", `{"reference":"node:22","login":{"username":"me","password":"x"}}`, 0)
	j.ask("importImage", "", `{"path":"/app.tar","name":"app"}`, 0)
	j.ask("tagImage", "", `{"name":"node:lts"}`, 0, "node:22")
	j.ask("pruneImages", "", `{"dry_run":true}`, 0)
	j.ask("listImages", "", "", 0)
	j.ask("getImage", "", "", 0, "i")
	j.ask("pullKernel", "", `{"name":"6.12"}`, 0)
	j.ask("listKernels", "", "", 0)
	j.ask("getKernel", "", "", 0, "6.12")
	j.ask("deleteKernel", "", "", 0, "6.12")
	j.ask("pruneKernels", "", `{"all":true,"dry_run":true}`, 0)
	j.ask("diskUsage", "", "", 0)
	j.ask("doctor", "", "", 0)
	j.ask("info", "", "", 0)
	j.ask("openapi", "", "", 0)
	asked := banger.Errorf(banger.CodeQuestion, "the host key of lab is not known")
	asked.Question = &banger.Question{Kind: banger.AskHostKey, Subject: "[lab]:22", Fingerprint: "SHA256:x", KeyType: "ssh-ed25519"}
	fake.Err = asked
	j.ask("addRemote", "", `{"name":"lab","ssh":"lab"}`, 0)
}

// A body is what its schema says, too: the daemon takes what fits, and refuses a member
// that is not described.
func TestOpenAPI_RequiresWhatTheDaemonRequires(t *testing.T) {
	var document struct {
		Components struct {
			Schemas map[string]struct{ Required []string }
		}
	}
	if err := json.Unmarshal(api.OpenAPI, &document); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"VMRequest": nil, "RemoteRequest": {"name", "ssh"}, "RemoteAnswers": nil, "SessionRequest": {"command"},
		"ImageBuild": {"name"}, "Limits": nil, "ImageRecipe": nil, "Window": {"rows", "cols"},
	} {
		got := document.Components.Schemas[name].Required
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s requires %v, want %v", name, got, want)
		}
	}
}
