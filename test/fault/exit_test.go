package fault

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"banger"
)

// The daemon and the guest's control process are killed (SIGKILL) while a command
// exits: its exit status is on record all the same, with the last byte before it.
func TestFault_NoExitIsLostWhenDaemonAndControlDieWithIt(t *testing.T) {
	loseNoExit(onLoopback(t), sized(25, 1000))
}

// closeToExit is how near a kill has to come to an exit to be called one at the exit.
const closeToExit = 10 * time.Millisecond

func loseNoExit(r *rig, kills int) {
	atExit := 0
	takes := 10 * time.Millisecond // from the answer to the exit, as last seen
	for n := range kills {
		code := n % 200
		name := fmt.Sprint("s", n)
		x := r.launch(name, banger.Launch{
			Command: "sh", Args: banger.ByteStrings([]string{"-c", "read code; echo out $code; echo err $code >&2; exit $code"}),
			StdinMode: banger.StdinPipe,
		})
		_, err := r.client().SendSession(r.t.Context(), "v", string(x.ID), banger.SendRequest{Data: strings.NewReader(fmt.Sprintln(code))})
		if err != nil {
			r.t.Fatal(err)
		}
		sent := time.Now()
		time.Sleep(rand.N(2 * takes)) // the moment of the kill is what varies
		killed := time.Now()
		var control sync.WaitGroup
		control.Go(r.killControl)
		r.killDaemon()
		control.Wait()
		x = r.end(x)
		if x.ExitCode == nil || *x.ExitCode != code || x.EndedBy != banger.EndedByExit || x.LastError != "" {
			r.t.Errorf("session %s exited with %d and is recorded as %+v", name, code, x.SessionState)
		}
		if out, errs := r.log(x, banger.StreamStdout), r.log(x, banger.StreamStderr); out != fmt.Sprintf("out %d\n", code) || errs != fmt.Sprintf("err %d\n", code) {
			r.t.Errorf("session %s has written %q and %q", name, out, errs)
		}
		if d := x.EndedAt.Sub(killed); d > -closeToExit && d < closeToExit {
			atExit++
		}
		if err := r.client().RemoveSession(r.t.Context(), "v", string(x.ID), false); err != nil {
			r.t.Error(err) // and the next daemons have less to do
		}
		takes = max(min(x.EndedAt.Sub(sent), patience), time.Millisecond)
	}
	r.t.Logf("%d of %d kills came within %s of the exit", atExit, kills, closeToExit)
	if atExit == 0 {
		r.t.Errorf("of %d kills none came within %s of the exit", kills, closeToExit)
	}
}

// end returns a session that has ended.
func (r *rig) end(x banger.Session) banger.Session {
	r.t.Helper()
	x, err := r.client().WaitSession(r.t.Context(), "v", string(x.ID))
	if err != nil {
		r.t.Fatal(err)
	}
	return x
}

// log returns all of one stream.
func (r *rig) log(x banger.Session, stream banger.Stream) string {
	r.t.Helper()
	var text strings.Builder
	_, err := r.client().ReadLogs(r.t.Context(), "v", string(x.ID), banger.LogRequest{Stream: stream, Lines: -1}, func(c banger.LogChunk) error {
		text.Write(c.Data)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return text.String()
}
