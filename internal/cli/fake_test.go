package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"banger"
)

// fake is a backend whose services hold fixed records, remember what they were
// asked and fail on request. It keeps no rules: those are the services'.
type fake struct {
	vms      []banger.VM
	sessions []banger.Session
	images   []banger.Image
	events   []banger.Event
	checks   []banger.Check
	chunks   []banger.LogChunk
	progress []banger.BuildProgress
	access   banger.SSHAccess
	// results and searchEnd are what a search finds.
	results   []banger.SearchResult
	searchEnd banger.SearchEnd
	pruned    banger.PruneResult
	trash     []banger.Trashed

	err     error // every call fails with it
	running bool  // a daemon runs already
	hang    bool  // WaitSession waits for its context

	asked   []string // the calls in their order
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
	asks    bool                   // AddRemote and UnlockRemote have questions
	remotes []banger.RemoteRequest // what AddRemote and UnlockRemote got
	stops   []banger.StopRequest
	ready   *os.File
}

var errNoDaemon = banger.Errorf(banger.CodeUnavailable, "cannot reach daemon: none is running")

func (f *fake) services() Services {
	return Services{VMs: f, Remotes: f, Sessions: f, Streams: f, Control: f, Images: f, Events: f, Host: f, Trash: f, Dialer: f}
}

func (f *fake) Services() Services { f.running = true; return f.services() }

func (f *fake) Running() Services {
	if !f.running {
		return (&fake{err: errNoDaemon}).services()
	}
	return f.services()
}

func (f *fake) WaitStopped(context.Context) error { f.ask("wait-stopped"); return nil }

func (f *fake) Serve(_ context.Context, ready *os.File) error { f.ready = ready; return f.err }

func (f *fake) ask(words ...string) { f.asked = append(f.asked, strings.Join(words, " ")) }

func (f *fake) vm() banger.VM {
	if len(f.vms) == 0 {
		return banger.VM{}
	}
	return f.vms[0]
}

func (f *fake) session() banger.Session {
	if len(f.sessions) == 0 {
		return banger.Session{}
	}
	return f.sessions[0]
}

func (f *fake) CreateVM(_ context.Context, r banger.VMRequest) (banger.VM, error) {
	f.ask("create-vm")
	f.created = r
	return f.vm(), f.err
}

func (f *fake) ListVMs(context.Context) ([]banger.VM, error) { return f.vms, f.err }

func (f *fake) GetVM(_ context.Context, ref string) (banger.VM, error) {
	f.ask("get-vm", ref)
	return f.vm(), f.err
}

func (f *fake) DeleteVM(_ context.Context, ref string, force bool) error {
	f.ask("delete-vm", ref)
	f.force = force
	return f.err
}

func (f *fake) SetVM(_ context.Context, ref string, u banger.VMUpdate) (banger.VM, error) {
	f.ask("set-vm", ref)
	f.update = u
	return f.vm(), f.err
}

func (f *fake) RenameVM(_ context.Context, ref string, r banger.VMRename) (banger.VM, error) {
	f.ask("rename-vm", ref, r.Name)
	return f.vm(), f.err
}

func (f *fake) StartVM(_ context.Context, ref string) (banger.VM, error) {
	f.ask("start-vm", ref)
	return f.vm(), f.err
}

func (f *fake) AddRemote(ctx context.Context, r banger.RemoteRequest) (banger.VM, error) {
	if !f.asks {
		banger.Step(ctx, "connecting to \x1b[2Jlab")
	}
	f.ask("add-remote", r.Name)
	f.remotes = append(f.remotes, r)
	return banger.VM{Name: r.Name}, f.question(r.Answers)
}

func (f *fake) UnlockRemote(_ context.Context, ref string, a banger.RemoteAnswers) (banger.VM, error) {
	f.ask("unlock-remote", ref)
	f.remotes = append(f.remotes, banger.RemoteRequest{Answers: a})
	return banger.VM{Name: ref}, f.question(a)
}

// question is the error of a host that asks first for its key, then for a passphrase.
func (f *fake) question(a banger.RemoteAnswers) error {
	switch {
	case f.err != nil || !f.asks:
		return f.err
	case len(a.HostKeys) == 0:
		return &banger.Error{Code: banger.CodeQuestion, Message: "the host key is not known", Hint: "log in once with ssh",
			Question: &banger.Question{Kind: banger.AskHostKey, Subject: "example.org", Fingerprint: "SHA256:x", KeyType: "ssh-ed25519"}}
	case a.Passphrases["/k"] != " op en ":
		return &banger.Error{Code: banger.CodeQuestion, Message: "a passphrase is needed",
			Question: &banger.Question{Kind: banger.AskPassphrase, Subject: "/k", Again: len(a.Passphrases) > 0}}
	}
	return nil
}

func (f *fake) StopVM(_ context.Context, ref string, r banger.VMStopRequest) (banger.VM, error) {
	f.ask("stop-vm", ref)
	f.grace = r.Grace
	return f.vm(), f.err
}

func (f *fake) ConsoleLog(context.Context, string, int64) ([]byte, error) {
	return []byte("boot\r\n\x1b[31mred\xff"), f.err
}

func (f *fake) SSHAccess(_ context.Context, ref string) (banger.SSHAccess, error) {
	f.ask("ssh", ref)
	return f.access, f.err
}

func (f *fake) StartSession(_ context.Context, vm string, r banger.SessionRequest) (banger.Session, error) {
	f.ask("start-session", vm)
	f.started = r
	return f.session(), f.err
}

func (f *fake) ListSessions(_ context.Context, filter banger.SessionFilter) ([]banger.Session, error) {
	f.filter = filter
	return f.sessions, f.err
}

func (f *fake) SummarizeSessions(ctx context.Context, filter banger.SessionFilter) (summaries []banger.SessionSummary, err error) {
	sessions, err := f.ListSessions(ctx, filter)
	for _, x := range sessions {
		summaries = append(summaries, x.Summary())
	}
	return summaries, err
}

func (f *fake) PageSessions(ctx context.Context, filter banger.SessionFilter, _ string, _ int) ([]banger.Session, string, error) {
	sessions, err := f.ListSessions(ctx, filter)
	return sessions, "", err
}

func (f *fake) PageSummaries(ctx context.Context, filter banger.SessionFilter, _ string, _ int) ([]banger.SessionSummary, string, error) {
	summaries, err := f.SummarizeSessions(ctx, filter)
	return summaries, "", err
}

func (f *fake) GetSession(_ context.Context, vm, session string) (banger.Session, error) {
	f.ask("get-session", vm, session)
	return f.session(), f.err
}

func (f *fake) RemoveSession(_ context.Context, vm, session string, force bool) error {
	f.ask("remove-session", vm, session)
	f.force = force
	return f.err
}

func (f *fake) WaitSession(ctx context.Context, _, _ string) (banger.Session, error) {
	if f.hang {
		<-ctx.Done()
		return banger.Session{}, ctx.Err()
	}
	return f.session(), f.err
}

func (f *fake) PruneSessions(_ context.Context, r banger.PruneRequest) (banger.PruneResult, error) {
	f.ask("prune-sessions")
	f.prune = r
	return f.pruned, f.err
}

func (f *fake) DialSession(context.Context, string, string) (net.Conn, error) {
	return nil, errors.Join(f.err, errNoDaemon)
}

func (f *fake) SendSession(_ context.Context, _, _ string, r banger.SendRequest) (banger.SendResult, error) {
	if r.Data != nil {
		data, err := io.ReadAll(r.Data)
		if err != nil {
			return banger.SendResult{}, err
		}
		f.sent = data
	}
	f.sentEOF = r.EOF
	return banger.SendResult{Offset: int64(len(f.sent)), EOF: r.EOF}, f.err
}

func (f *fake) InspectSession(ctx context.Context, vm, session string) (banger.Session, error) {
	return f.GetSession(ctx, vm, session)
}

func (f *fake) StopSession(_ context.Context, vm, session string, r banger.StopRequest) (banger.Session, error) {
	f.ask("stop-session", vm, session)
	f.stops = append(f.stops, r)
	return f.session(), f.err
}

func (f *fake) SignalSession(_ context.Context, vm, session string, r banger.SignalRequest) error {
	f.ask("signal-session", vm, session, r.Signal, fmt.Sprint(r.All))
	return f.err
}

func (f *fake) ReadLogs(_ context.Context, _, _ string, r banger.LogRequest, fn func(banger.LogChunk) error) (banger.LogEnd, error) {
	f.logs = r
	end := banger.LogEnd{}
	for _, chunk := range f.chunks {
		if err := fn(chunk); err != nil {
			return end, err
		}
		end.Next = end.Next.Advance(chunk)
	}
	return end, f.err
}

func (f *fake) MatchSession(_ context.Context, _, _ string, r banger.MatchRequest) (banger.Match, error) {
	f.match = r
	return banger.Match{Stream: banger.StreamStdout, Offset: 5, End: 8, Text: []byte("abc")}, f.err
}

func (f *fake) SearchSessions(_ context.Context, r banger.SearchRequest, fn func(banger.SearchResult) error) (banger.SearchEnd, error) {
	f.ask("search")
	f.search = r
	for _, result := range f.results {
		if err := fn(result); err != nil {
			return f.searchEnd, err
		}
	}
	return f.searchEnd, f.err
}

func (f *fake) BuildImage(_ context.Context, name string, _ banger.ImageRecipe, progress func(banger.BuildProgress)) (banger.Image, error) {
	f.ask("build-image", name)
	for _, p := range f.progress {
		progress(p)
	}
	if f.err != nil {
		return banger.Image{}, f.err
	}
	return f.images[0], nil
}

func (f *fake) ListImages(context.Context) ([]banger.Image, error) { return f.images, f.err }

func (f *fake) GetImage(context.Context, string) (banger.Image, error) {
	if f.err != nil || len(f.images) == 0 {
		return banger.Image{}, errors.Join(f.err)
	}
	return f.images[0], nil
}

func (f *fake) DeleteImage(_ context.Context, ref string) error {
	f.ask("delete-image", ref)
	return f.err
}

func (f *fake) WatchEvents(_ context.Context, since int64, fn func(banger.Event) error) error {
	for _, e := range f.events {
		if e.Revision > since {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return f.err
}

func (f *fake) Doctor(_ context.Context, deep bool) ([]banger.Check, error) {
	if deep {
		f.ask("doctor deep")
	}
	return f.checks, f.err
}

func (f *fake) ListTrash(context.Context) ([]banger.Trashed, error) { return f.trash, f.err }

func (f *fake) EmptyTrash(context.Context) ([]banger.Trashed, error) {
	f.ask("empty-trash")
	return f.trash, f.err
}

func (f *fake) Info(context.Context) (banger.DaemonInfo, error) {
	return banger.DaemonInfo{Version: "v1", PID: 7}, f.err
}

func (f *fake) Shutdown(context.Context) error { f.ask("shutdown"); return f.err }

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
