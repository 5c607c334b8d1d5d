package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// pollInterval is between two looks at a state.
const pollInterval = 250 * time.Millisecond

// polling is the design without a daemon or an agent: each operation is a connection
// of its own and a shell script, and a state is what a look at files and pids tells.
type polling struct{ *place }

// launch starts a command line whose state is kept in a directory of the home.
func (p polling) launch(b *testing.B, name, command string) {
	b.Helper()
	script := fmt.Sprintf("mkdir -p $HOME/poll/%[1]s && cd $HOME/poll/%[1]s && "+
		"{ setsid sh -c 'cd; %[2]s; echo $? >poll/%[1]s/exit' </dev/null >out 2>err & echo $! >pid; }", name, command)
	p.must(b, p.sshAnew(b.Context(), script))
}

// look returns "running" or "exited", or nothing if neither is to be seen.
func (p polling) look(b *testing.B, name string) string {
	b.Helper()
	script := fmt.Sprintf("cd $HOME/poll/%s && if [ -e exit ]; then echo exited; elif kill -0 $(cat pid); then echo running; fi", name)
	return strings.TrimSpace(p.must(b, p.sshAnew(b.Context(), script)))
}

// await looks until the state is the one that is wanted.
func (p polling) await(b *testing.B, name, want string) {
	b.Helper()
	for p.look(b, name) != want {
		select {
		case <-time.After(pollInterval):
		case <-b.Context().Done():
			b.Fatal(b.Context().Err())
		}
	}
}

// start returns how long it takes until a command is known to run.
func (p polling) start(b *testing.B, n int) time.Duration {
	b.Helper()
	return timed(b, func() error {
		name := fmt.Sprint("start", n)
		p.launch(b, name, idle)
		p.await(b, name, "running")
		return nil
	})
}
