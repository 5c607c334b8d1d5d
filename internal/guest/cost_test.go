//go:build !unit

package guest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"banger"
	"banger/internal/guest/guesttest"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
)

// maxCost is what a guest may make the daemon take from the system, for everything that
// it says together.
const maxCost = 32 << 20

// costVariable makes the test tell a lie in this process, which does nothing else.
const costVariable = "BANGER_TEST_LIE"

// lie is something that no agent of ours says.
type lie struct {
	// to is the request that it answers, or after which it is said.
	to string
	// say says it. An error is that the host has hung up.
	say func(w io.Writer, id json.RawMessage) error
	// ask makes the host send the request; nil if it does so by itself.
	ask  func(ctx context.Context, g guestapi.Guest) error
	once bool // it is long enough
}

// hearings is how often a lie is heard, by reconnects.
const hearings = 2

const lieBytes = 16 << 20

func lies() map[string]lie {
	readLog := func(ctx context.Context, g guestapi.Guest) error {
		_, err := g.ReadLog(ctx, guestapi.GuestLogRead{ID: sessionID, Stream: banger.StreamBoth, MaxBytes: guestapi.MaxLogPageBytes})
		return err
	}
	stop := func(ctx context.Context, g guestapi.Guest) error {
		return g.Stop(ctx, sessionID, banger.StopRequest{Kill: true})
	}
	// result answers with text, part repeated to size bytes, and text again.
	result := func(before, part, after string, size int) func(io.Writer, json.RawMessage) error {
		return func(w io.Writer, id json.RawMessage) error {
			return repeat(w, `{"jsonrpc":"2.0","id":`+string(id)+`,"result":`+before, part, after+"}\n", size)
		}
	}
	said := func(before, part, after string, size int) func(io.Writer, json.RawMessage) error {
		return func(w io.Writer, _ json.RawMessage) error { return repeat(w, before, part, after, size) }
	}
	const list, hello, log = guestrpc.MethodList, guestrpc.MethodHello, guestrpc.MethodReadLog
	return map[string]lie{
		"a batch":                        {to: list, say: said("[", "{},", "{}]\n", lieBytes)},
		"a batch behind a space":         {to: list, say: said(" [", "{},", "{}]\n", lieBytes)},
		"a small batch":                  {to: list, say: said("[", "{},", "{}]\n", 1<<20-100)},
		"an object of many members":      {to: list, say: numbered(lieBytes)},
		"a small one of many members":    {to: list, say: numbered(1<<20 - 100)},
		"an array for a list":            {to: list, say: result(`[{"stop_steps":[`, "{},", `{}]}]`, lieBytes)},
		"a report of empty steps":        {to: list, say: result(`{"sessions":[{"stop_steps":[`, "{},", `{}]}]}`, 190_000)},
		"a large report of empty steps":  {to: list, say: result(`{"sessions":[{"stop_steps":[`, "{},", `{}]}]}`, lieBytes)},
		"a report of empty survivors":    {to: list, say: result(`{"sessions":[{"survivors":{"processes":[`, "{},", `{}]}}]}`, 190_000)},
		"a page of empty reports":        {to: list, say: result(`{"sessions":[`, "{},", `{}]}`, 190_000)},
		"a page of nulls":                {to: list, say: result(`{"sessions":[`, "null,", `null]}`, 300_000)},
		"something deep":                 {to: list, say: result("", "[", "", 1<<20-100)},
		"a long greeting":                {to: hello, say: result(`{"version":"`, "x", `"}`, 1<<20-100)},
		"a greeting without an end":      {to: hello, say: result(`{"version":"`, "x", `"}`, lieBytes)},
		"a line without an end":          {to: list, say: said("", "x", "", lieBytes)},
		"a page of empty pieces":         {to: log, say: result(`{"pieces":[`, "{},", `{}]}`, 190_000), ask: readLog},
		"a large page of empty pieces":   {to: log, say: result(`{"pieces":[`, "{},", `{}]}`, lieBytes), ask: readLog},
		"an error with candidates":       {to: guestrpc.MethodStop, say: refusal("", `"`+strings.Repeat(`","`, 15_000)+`"`), ask: stop},
		"an error with a long text":      {to: guestrpc.MethodStop, say: refusal(strings.Repeat("x", 900_000), ""), ask: stop},
		"answers that nobody awaits":     {to: list, say: said("", `{"jsonrpc":"2.0","id":77,"result":"`+strings.Repeat("x", 60_000)+"\"}\n", "", lieBytes), once: true},
		"requests to the host":           {to: list, say: said("", `{"jsonrpc":"2.0","id":77,"method":"`+strings.Repeat("x", 60_000)+"\"}\n", "", lieBytes), once: true},
		"blobs that nobody awaits":       {to: list, say: said("", "#9 60000\n"+strings.Repeat("x", 60_000), "", lieBytes)},
		"changes of invented sessions":   {to: list, say: changes(600, banger.NewSessionID), once: true},
		"changes of many known sessions": {to: list, say: changes(600, knownID()), once: true},
	}
}

// repeat writes part until that has size bytes, between two texts.
func repeat(w io.Writer, before, part, after string, size int) error {
	out := bufio.NewWriterSize(w, 32<<10)
	_, _ = out.WriteString(before)
	for range size / len(part) {
		if _, err := out.WriteString(part); err != nil {
			return err
		}
	}
	_, _ = out.WriteString(after)
	return out.Flush()
}

// numbered says an object with many members.
func numbered(size int) func(io.Writer, json.RawMessage) error {
	return func(w io.Writer, _ json.RawMessage) error {
		out := bufio.NewWriterSize(w, 32<<10)
		_, _ = out.WriteString(`{"jsonrpc":"2.0"`)
		for i := range size / 12 {
			if _, err := fmt.Fprintf(out, `,"%07x":0`, i); err != nil {
				return err
			}
		}
		_, _ = out.WriteString("}\n")
		return out.Flush()
	}
}

// refusal answers with an error.
func refusal(text, candidates string) func(io.Writer, json.RawMessage) error {
	return func(w io.Writer, id json.RawMessage) error {
		_, err := fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":"","data":{"code":"wrong_state","message":"%s","candidates":[%s]}}}`+"\n",
			id, guestrpc.CodeBanger, text, candidates)
		return err
	}
}

// changes tells changes of n sessions, after the list that it answers.
func changes(n int, id func() banger.SessionID) func(io.Writer, json.RawMessage) error {
	return func(w io.Writer, request json.RawMessage) error {
		if _, err := fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"sessions":[]}}`+"\n", request); err != nil {
			return err
		}
		for range n {
			s := report(1)
			s.ID, s.LastError = id(), strings.Repeat("x", 60_000)
			data, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "method": guestrpc.NotifyChanged, "params": s})
			if err != nil {
				return err
			}
			if _, err := w.Write(append(data, '\n')); err != nil {
				return err
			}
		}
		return nil
	}
}

// knownSessions are those that the host of the cost test asks about.
const knownSessions = 200

// knownID returns one of their ids after the other.
func knownID() func() banger.SessionID {
	n := 0
	return func() banger.SessionID {
		n++
		return banger.SessionID(fmt.Sprintf("b%019d", n%knownSessions))
	}
}

// control is a control process that is honest but for the lie, and tells heard when
// that was said as far as the host listens.
func (l lie) control(heard chan<- struct{}) controlFunc {
	return func(stdin io.Reader, stdout, _ io.Writer) {
		said := false
		defer func() {
			if said {
				heard <- struct{}{}
			}
		}()
		for in := json.NewDecoder(stdin); ; {
			var r struct {
				ID     json.RawMessage `json:"id"`
				Method string          `json:"method"`
			}
			if in.Decode(&r) != nil {
				return
			}
			var err error
			switch {
			case r.Method == l.to && (!said || l.ask != nil):
				said = true
				err = l.say(stdout, r.ID)
			case r.Method == guestrpc.MethodHello:
				_, err = fmt.Fprintf(stdout, `{"jsonrpc":"2.0","id":%s,"result":{"protocol":%d,"boot_id":"%s"}}`+"\n", r.ID, guestapi.GuestProtocol, guesttest.BootID)
			case r.Method == guestrpc.MethodList:
				_, err = fmt.Fprintf(stdout, `{"jsonrpc":"2.0","id":%s,"result":{"sessions":[]}}`+"\n", r.ID)
			}
			if err != nil {
				return
			}
			if said && l.ask == nil {
				time.Sleep(time.Second) // for what the host makes of it
				return
			}
		}
	}
}

// hear has the lie heard by a host.
func (l lie) hear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := make(chan struct{}, 100)
		r := open(t, always(l.control(heard)))
		next := knownID()
		r.handler.mu.Lock()
		for range knownSessions {
			r.handler.known = append(r.handler.known, next())
		}
		r.handler.recording = func(guestapi.GuestSession) { time.Sleep(time.Hour) } // a store that is busy
		r.handler.mu.Unlock()
		defer r.end()
		for n := range hearings {
			if l.once && n > 0 {
				break
			}
			if l.ask != nil {
				_ = l.ask(t.Context(), r.guest(t))
			} else {
				<-heard
			}
		}
	})
}

// TestLie_CostsTheHostLittle measures each lie in a process of its own, which gives
// nothing back to the system: what it has taken from there is the most that it needed.
func TestLie_CostsTheHostLittle(t *testing.T) {
	var program string
	if os.Getenv(costVariable) == "" {
		program = plainTests(t)
	}
	for name, l := range lies() {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			if program != "" {
				cost := measure(t, program, t.Name())
				t.Logf("%s: %.1f MiB, %d ms of CPU", name, float64(cost.bytes)/(1<<20), cost.cpuMS)
				if cost.bytes > maxCost {
					t.Errorf("%d bytes of heap for a host that hears %s", cost.bytes, name)
				}
				return
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			l.hear(t)
			runtime.ReadMemStats(&after)
			fmt.Printf("cost %d bytes %d ms\n", after.HeapSys-min(before.HeapSys, after.HeapSys)+before.HeapInuse, cpuTime().Milliseconds())
		})
	}
}

// BenchmarkLie reports what each lie costs.
func BenchmarkLie(b *testing.B) {
	program := plainTests(b)
	for name := range lies() {
		name = strings.ReplaceAll(name, " ", "_")
		b.Run(name, func(b *testing.B) {
			var most cost
			for b.Loop() {
				c := measure(b, program, "TestLie_CostsTheHostLittle/"+name)
				most = cost{max(most.bytes, c.bytes), max(most.cpuMS, c.cpuMS)}
			}
			b.ReportMetric(float64(most.bytes)/(1<<20), "MiB")
			b.ReportMetric(float64(most.cpuMS), "cpu-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

type cost struct{ bytes, cpuMS int64 }

// plainTests builds the tests of this package as the daemon is built: the race detector
// takes memory and time of its own.
func plainTests(t testing.TB) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "guest.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the tests: %v\n%s", err, out)
	}
	return program
}

// measure runs one test in a process of its own.
func measure(t testing.TB, program, test string) cost {
	t.Helper()
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(test), "/", "$/^") + "$"
	cmd := exec.CommandContext(t.Context(), program, "-test.run="+pattern, "-test.v")
	cmd.Env = append(os.Environ(), costVariable+"=1")
	out, err := cmd.CombinedOutput()
	line := bytes.Index(out, []byte("cost "))
	if err != nil || line < 0 {
		t.Fatalf("%v: %.2000s", err, out)
	}
	words := strings.Fields(string(out[line:]))
	heap, err1 := strconv.ParseInt(words[1], 10, 64)
	ms, err2 := strconv.ParseInt(words[3], 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatalf("%.200s", out[line:])
	}
	return cost{heap, ms}
}

// cpuTime is what this process has used; getrusage(2).
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestLink_UnreadMessagesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		thaw := make(chan struct{})
		r := open(t, always(frozen(thaw)))
		defer r.end()
		defer close(thaw)
		g := r.guest(t)
		refused := 0
		for range 200 { // 67 MiB
			ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
			_, err := g.Launch(ctx, large)
			cancel()
			if banger.CodeOf(err) == banger.CodeUnavailable {
				refused++
			}
		}
		if refused < 50 {
			t.Errorf("only %d of 200 were refused", refused)
		}
	})
}

func TestLink_GuestThatKeepsDyingIsTriedLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, always(func(io.Reader, io.Writer, io.Writer) {}))
		defer r.end()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if _, err := r.Guest(ctx, vm); banger.CodeOf(err) != banger.CodeUnavailable {
			t.Errorf("got %v", err)
		}
		if dials := r.machine.dialled(); dials < 100 || dials > 300 {
			t.Errorf("%d dials in ten minutes", dials)
		}
	})
}
