package guest_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/guest"
	"banger/internal/guest/guesttest"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
	"banger/internal/vmm"
)

const vm = banger.VMID("aaaaaaaaaaaaaaaaaaaa")

type controlFunc = func(stdin io.Reader, stdout, stderr io.Writer)

// rig is one link to a guest that is made of functions, within one synctest
// bubble: the connections are in memory.
type rig struct {
	*guest.Links
	machine *machine
	handler *handler
	log     *strings.Builder // read it when the link has ended
	end     func()           // ends the link and waits for it
}

// open makes a link to a guest whose control processes are made by next.
func open(t *testing.T, next func() controlFunc) *rig {
	t.Helper()
	return openTo(t, key(t, 1), next)
}

// openTo makes a link whose guest has a host key, instead of the one it should have.
func openTo(t *testing.T, hostKey ssh.Signer, next func() controlFunc) *rig {
	t.Helper()
	return openMachine(t, &machine{key: hostKey, next: next, done: make(chan struct{})})
}

// openMachine makes a link to the guest of a machine.
func openMachine(t *testing.T, m *machine) *rig {
	t.Helper()
	r := &rig{machine: m, handler: newHandler(), log: &strings.Builder{}}
	log := slog.New(slog.NewTextHandler(io.MultiWriter(r.log, t.Output()), nil))
	r.Links = guest.NewLinks(key(t, 2), log)
	serve, err := r.Open(vmm.GuestAccess{
		VMID: vm, Machine: r.machine, User: "root", HostKey: string(ssh.MarshalAuthorizedKey(key(t, 1).PublicKey())),
	}, r.handler)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { _ = serve(ctx) })
	r.end = func() {
		cancel()
		serving.Wait()
		r.machine.guests.Wait()
	}
	return r
}

func (r *rig) guest(t *testing.T) guestapi.Guest {
	t.Helper()
	g, err := r.Guest(t.Context(), vm)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// always is a control process that is the same each time.
func always(c controlFunc) func() controlFunc { return func() controlFunc { return c } }

// key is a private key that needs no randomness.
func key(t *testing.T, n byte) ssh.Signer {
	t.Helper()
	signer, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), n)))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// machine is a vmm.Machine of which a link uses little.
type machine struct {
	vmm.Machine
	key    ssh.Signer
	next   func() controlFunc
	done   chan struct{}
	guests sync.WaitGroup
	accel  string

	mu    sync.Mutex // guards dials
	dials int
}

func (m *machine) WaitReady(context.Context) error { return nil }
func (m *machine) Done() <-chan struct{}           { return m.done }
func (m *machine) Info() vmm.MachineInfo           { return vmm.MachineInfo{Accelerator: m.accel} }

func (m *machine) Dial(context.Context) (net.Conn, error) {
	m.mu.Lock()
	m.dials++
	m.mu.Unlock()
	host, conn := pipe()
	m.guests.Go(func() {
		guesttest.Guest{HostKey: m.key, Control: func(stdin io.Reader, stdout, stderr io.Writer) {
			m.next()(stdin, stdout, stderr)
		}}.Serve(conn)
	})
	return host, nil
}

func (m *machine) dialled() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dials
}

// handler is a guestapi.GuestHandler that remembers.
type handler struct {
	recording func(guestapi.GuestSession) // called with each change before it is taken; may be nil
	known     []banger.SessionID          // that it asks the guest about, beside sessionID

	mu      sync.Mutex // guards the fields below
	ups     int
	listed  []guestapi.GuestSession
	changed map[banger.SessionID]guestapi.GuestSession
}

func newHandler() *handler {
	return &handler{changed: map[banger.SessionID]guestapi.GuestSession{}}
}

func (h *handler) GuestUp(ctx context.Context, _ guestapi.GuestHello, g guestapi.Guest) error {
	var sessions []guestapi.GuestSession
	for _, ids := range [][]banger.SessionID{nil, append([]banger.SessionID{sessionID}, h.known...)} { // as the session service does
		for page, err := range g.Sessions(ctx, ids) {
			if err != nil {
				return err
			}
			if ids == nil {
				sessions = append(sessions, page...)
			}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ups++
	h.listed = sessions
	return nil
}

func (h *handler) GuestChanged(ctx context.Context, s guestapi.GuestSession) error {
	h.mu.Lock()
	recording := h.recording
	h.mu.Unlock()
	if recording != nil {
		recording(s)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changed[s.ID] = s
	return ctx.Err()
}

func (h *handler) GuestDown(context.Context, error) error { return nil }

func (h *handler) seen() (ups int, listed []guestapi.GuestSession) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ups, h.listed
}

func report(n int64) guestapi.GuestSession {
	s := guestapi.GuestSession{ID: sessionID}
	s.Status, s.Sequence = banger.StatusRunning, n
	return s
}

const sessionID = banger.SessionID("bbbbbbbbbbbbbbbbbbbb")

// frozen is an honest control process that does nothing any more once it has told
// its sessions. It does not even read before thaw is closed.
func frozen(thaw <-chan struct{}) controlFunc {
	return func(stdin io.Reader, stdout, _ io.Writer) {
		in, out := json.NewDecoder(stdin), json.NewEncoder(stdout)
		for _, result := range []any{
			guestapi.GuestHello{Protocol: guestapi.GuestProtocol, Version: "test", BootID: guesttest.BootID}, guestrpc.ListPage{}, guestrpc.ListPage{},
		} {
			var request struct {
				ID json.RawMessage `json:"id"`
			}
			if in.Decode(&request) != nil || out.Encode(map[string]any{"jsonrpc": "2.0", "id": request.ID, "result": result}) != nil {
				return
			}
		}
		<-thaw
		_, _ = io.Copy(io.Discard, stdin)
	}
}
