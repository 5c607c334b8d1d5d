package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/paths"
	"banger/internal/servicetest"
)

// fake is a backend of a servicetest.Fake with these records and answers, which remembers
// what it was asked.
type fake struct {
	vms          []banger.VM
	sessions     []banger.Session
	images       []banger.Image
	kernels      []banger.Kernel
	events       []banger.Event
	checks       []banger.Check
	disk         banger.DiskUsage
	chunks       []banger.LogChunk
	progress     []banger.BuildProgress
	pulls        []banger.PullProgress
	pulled       banger.PullRequest // what was asked for
	prunedImages banger.ImagePruneResult
	access       banger.SSHAccess
	// results and searchEnd are what a search finds.
	results   []banger.SearchResult
	searchEnd banger.SearchEnd
	pruned    banger.PruneResult
	trash     []banger.Trashed

	err     error // every call fails with it
	running bool  // a daemon runs already
	hang    bool  // WaitSession waits for its context
	asks    bool  // AddRemote and UnlockRemote have questions

	asked   []string // the calls that change or show something, in their order
	update  banger.VMUpdate
	created banger.VMRequest
	started banger.SessionRequest
	filter  banger.SessionFilter
	logs    banger.LogRequest
	match   banger.MatchRequest
	search  banger.SearchRequest
	prune   banger.PruneRequest
	sent    []byte
	sentEOF bool
	grace   time.Duration
	force   bool
	strict  bool                   // a ref that means no record is an error
	remotes []banger.RemoteRequest // what AddRemote and UnlockRemote got
	stops   []banger.StopRequest
	ready   *os.File
}

var errNoDaemon = banger.Errorf(banger.CodeUnavailable, "cannot reach daemon: none is running")

func (f *fake) services() Services {
	s := &servicetest.Fake{
		Strict: f.strict,
		VMs:    append([]banger.VM{}, f.vms...), Sessions: append([]banger.Session{}, f.sessions...),
		Images: append([]banger.Image{}, f.images...), Kernels: f.kernels, Events: f.events,
		Checks: f.checks, Disk: f.disk, Chunks: f.chunks, Progress: f.progress, Pulls: f.pulls, PrunedImages: f.prunedImages, Access: f.access, Results: f.results, SearchEnd: f.searchEnd,
		Pruned: f.pruned, Trash: f.trash, Err: f.err, Console: []byte("boot\r\n\x1b[31mred\xff"),
		Match:  banger.Match{Stream: banger.StreamStdout, Offset: 5, End: 8, Text: []byte("abc")},
		OnCall: f.note, OnLogin: f.login,
	}
	if len(f.vms) > 0 {
		s.VM = f.vms[0]
	}
	if len(f.sessions) > 0 {
		s.Session = f.sessions[0]
	}
	if len(f.images) > 0 {
		s.Image = f.images[0]
	}
	if !f.asks {
		s.Steps = []string{"connecting to \x1b[2Jlab"}
	}
	if f.hang {
		s.OnWait = func(ctx context.Context) (banger.Session, error) {
			<-ctx.Done()
			return banger.Session{}, ctx.Err()
		}
	}
	return Services{Services: s.Services(), Dialer: f}
}

func (f *fake) Services() Services { f.running = true; return f.services() }

func (f *fake) Running() Services {
	if !f.running {
		return (&fake{err: errNoDaemon}).services()
	}
	return f.services()
}

func (f *fake) Installation() paths.Paths { return paths.FromEnvironment() }

func (f *fake) WaitStopped(context.Context) error { f.ask("wait-stopped"); return nil }

func (f *fake) Serve(_ context.Context, ready *os.File) error { f.ready = ready; return f.err }

func (f *fake) DialSession(context.Context, string, string) (net.Conn, error) {
	return nil, errors.Join(f.err, errNoDaemon)
}

func (f *fake) DialExec(_ context.Context, vm string, r banger.SessionRequest, _ []byte) (net.Conn, error) {
	f.started = r
	f.ask("exec", vm)
	return nil, errors.Join(f.err, errNoDaemon)
}

func (f *fake) DialCopy(_ context.Context, vm string) (net.Conn, error) {
	f.ask("copy", vm)
	return nil, errors.Join(f.err, errNoDaemon)
}

func (f *fake) ask(words ...string) { f.asked = append(f.asked, strings.Join(words, " ")) }

// note remembers a call of a service.
func (f *fake) note(method string, args ...any) {
	var words []string // the call, if it is one to be listed
	for _, arg := range args {
		switch x := arg.(type) {
		case string:
			words = append(words, x)
		case bool:
			f.force = x
		case banger.VMRequest:
			f.created = x
		case banger.VMUpdate:
			f.update = x
		case banger.VMRename:
			words = append(words, x.Name)
		case banger.VMStopRequest:
			f.grace = x.Grace
		case banger.SessionRequest:
			f.started = x
		case banger.SessionFilter:
			f.filter = x
		case banger.StopRequest:
			f.stops = append(f.stops, x)
		case banger.SignalRequest:
			words = append(words, x.Signal, fmt.Sprint(x.All))
		case banger.LogRequest:
			f.logs = x
		case banger.MatchRequest:
			f.match = x
		case banger.SearchRequest:
			f.search = x
		case banger.PruneRequest:
			f.prune = x
		case banger.RemoteRequest:
			words, f.remotes = append(words, x.Name), append(f.remotes, x)
		case banger.RemoteAnswers:
			f.remotes = append(f.remotes, banger.RemoteRequest{Answers: x})
		}
	}
	if name, ok := listed[method]; ok {
		f.ask(append([]string{name}, words...)...)
	}
	if method == "SendSession" {
		f.sent, f.sentEOF = args[2].([]byte), args[3].(bool)
	}
	if method == "PullImage" {
		f.pulled = args[0].(banger.PullRequest)
	}
	if method == "Doctor" && args[0].(bool) {
		f.ask("doctor deep")
	}
}

// listed has the calls that asked lists, as it names them.
var listed = map[string]string{
	"CreateVM": "create-vm", "GetVM": "get-vm", "DeleteVM": "delete-vm", "SetVM": "set-vm", "RenameVM": "rename-vm", "StartVM": "start-vm",
	"StopVM": "stop-vm", "SSHAccess": "ssh", "AddRemote": "add-remote", "UnlockRemote": "unlock-remote",
	"StartSession": "start-session", "GetSession": "get-session", "InspectSession": "get-session", "RemoveSession": "remove-session",
	"PruneSessions": "prune-sessions", "StopSession": "stop-session", "SignalSession": "signal-session", "SearchSessions": "search",
	"BuildImage": "build-image", "DeleteImage": "delete-image", "EmptyTrash": "empty-trash", "Shutdown": "shutdown",
}

// login is that to a host that asks first for its key, then for a passphrase.
func (f *fake) login(_ context.Context, name string, a banger.RemoteAnswers) (banger.VM, error) {
	vm := banger.VM{Name: name}
	switch {
	case f.err != nil || !f.asks:
		return vm, f.err
	case len(a.HostKeys) == 0:
		return vm, &banger.Error{Code: banger.CodeQuestion, Message: "the host key is not known", Hint: "log in once with ssh",
			Question: &banger.Question{Kind: banger.AskHostKey, Subject: "example.org", Fingerprint: "SHA256:x", KeyType: "ssh-ed25519"}}
	case a.Passphrases["/k"] != " op en ":
		return vm, &banger.Error{Code: banger.CodeQuestion, Message: "a passphrase is needed",
			Question: &banger.Question{Kind: banger.AskPassphrase, Subject: "/k", Again: len(a.Passphrases) > 0}}
	}
	return vm, nil
}

// result is what a command line left.
type result struct {
	status         int
	stdout, stderr string
}

// run carries out one command line against the fake, with input as its standard
// input.
func (f *fake) run(t *testing.T, input string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := CLI{Version: "v1", Backend: f, Stdin: strings.NewReader(input), Stdout: &stdout, Stderr: &stderr}
	status := c.Run(t.Context(), args)
	return result{status, stdout.String(), stderr.String()}
}

// must is run for a command line that has to succeed.
func (f *fake) must(t *testing.T, args ...string) string {
	t.Helper()
	r := f.run(t, "", args...)
	if r.status != 0 {
		t.Fatalf("banger %q: exit status %d, stderr %q", args, r.status, r.stderr)
	}
	return r.stdout
}

func exitedWith(code int) banger.Session {
	s := banger.Session{Name: "job"}
	s.ExitCode, s.EndedBy, s.Status = &code, banger.EndedByExit, banger.StatusFailed
	if code == 0 {
		s.Status = banger.StatusExited
	}
	return s
}
