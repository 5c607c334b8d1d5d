//go:build !unit

package session_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"banger"
)

func TestSession_FollowerMissesAndRepeatsNothingWhenTheLinkIsCut(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", "while read line; do echo $line; done"))
	got := make(chan string)
	done := make(chan error, 1)
	go func() {
		_, err := h.Streams.ReadLogs(t.Context(), vmName, "s", banger.LogRequest{Stream: banger.StreamStdout, Lines: -1, Follow: true},
			func(c banger.LogChunk) error { got <- string(c.Data); return nil })
		done <- err
	}()
	var want, seen strings.Builder
	for n := range 10 {
		line := fmt.Sprintf("line %d\n", n)
		want.WriteString(line)
		send(t, h, "s", line, false)
		for seen.Len() < want.Len() {
			seen.WriteString(<-got)
		}
		h.Cut()
	}
	send(t, h, "s", "", true)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if seen.String() != want.String() {
		t.Errorf("got %q", seen.String())
	}
}

func TestSession_StartCarriesOnThroughCutLinks(t *testing.T) {
	h := newHost(t)
	var group sync.WaitGroup
	const sessions = 20
	for n := range sessions {
		group.Go(func() {
			name := fmt.Sprint("s", n)
			x, err := h.Sessions.StartSession(t.Context(), vmName, shell(name, "echo ran >>$0; echo ran"))
			if err != nil || x.Status == banger.StatusStarting {
				t.Errorf("%s: %v %+v", name, err, x.SessionState)
			}
		})
		if n%5 == 4 {
			h.Cut()
		}
	}
	group.Wait()
	for n := range sessions {
		name := fmt.Sprint("s", n)
		if x := wait(t, h, name); x.Status != banger.StatusExited {
			t.Errorf("%s: %+v", name, x.SessionState)
		}
		if got := read(t, h, name, all); got != "ran\n" {
			t.Errorf("%s ran more or less than once: %q", name, got)
		}
	}
}

func TestAttach_ToASessionThatIsStartingHasAllOfIt(t *testing.T) {
	h := newHost(t)
	var group sync.WaitGroup
	for n := range 20 {
		group.Go(func() {
			got, end, err := startAttached(t, h, shell(fmt.Sprint("s", n), "echo first; echo last; exit 3"))
			if err != nil || got != "first\nlast\n" || end.ExitCode == nil || *end.ExitCode != 3 {
				t.Errorf("%q, %v, %+v", got, err, end)
			}
		})
		if n%5 == 4 {
			h.Cut()
		}
	}
	group.Wait()
}
