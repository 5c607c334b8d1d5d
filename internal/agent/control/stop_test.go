package control_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
	"banger/test/wait"
)

func (l *link) read(ctx context.Context, r guestapi.GuestLogRead) (page guestapi.GuestLogPage, err error) {
	blob := l.wire.ExpectBlob()
	var answer guestrpc.LogPage
	err = l.call(ctx, guestrpc.MethodReadLog, guestrpc.LogRead{GuestLogRead: r, Blob: blob}, &answer)
	data := l.wire.TakeBlob(blob)
	if err != nil {
		return page, err
	}
	return answer.Join(data)
}

func pageText(p guestapi.GuestLogPage) string {
	var b strings.Builder
	for _, c := range p.Chunks {
		b.Write(c.Data)
	}
	return b.String()
}

func TestReadLog_WaitsForOutputAndForTheEnd(t *testing.T) {
	l := serve(t, sessions(t))
	s := l.start(banger.StdinPipe, "cat")
	r := guestapi.GuestLogRead{ID: s.ID, Stream: banger.StreamBoth, MaxBytes: 100, Wait: true}
	for _, text := range []string{"one\n", "two\n", "three\n"} {
		pages := make(chan guestapi.GuestLogPage, 1)
		go func() {
			page, err := l.read(t.Context(), r)
			if err != nil {
				t.Error(err)
			}
			pages <- page
		}()
		l.write(s.ID, text, false)
		page := <-pages
		if pageText(page) != text || !page.AtEnd || page.Ended {
			t.Errorf("the page is %+v, want %q", page, text)
		}
		if page.Chunks[0].Time.IsZero() {
			t.Errorf("%q has no time", text)
		}
		r.Cursor = page.Next
	}
	pages := make(chan guestapi.GuestLogPage, 1)
	go func() {
		page, _ := l.read(t.Context(), r)
		pages <- page
	}()
	l.write(s.ID, "", true)
	if page := <-pages; !page.Ended || !page.AtEnd || len(page.Chunks) != 0 {
		t.Errorf("the last page is %+v", page)
	}
	if page, err := l.read(t.Context(), guestapi.GuestLogRead{ID: s.ID, Stream: banger.StreamStdout, MaxBytes: 100, Tail: new(2)}); err != nil || pageText(page) != "two\nthree\n" || !page.Ended {
		t.Errorf("the last two lines are %q, %v", pageText(page), err)
	}
}

func TestReadLog_EndIsToldOnlyAfterTheLastByte(t *testing.T) {
	l := serve(t, sessions(t))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			s := l.start(banger.StdinClosed, "sh", "-c", "seq 20000; echo last >&2")
			if out := l.output(s.ID, banger.StreamBoth); len(out) != 108894+5 {
				t.Errorf("%d bytes of output before the end", len(out))
			}
		})
	}
	wg.Wait()
}

func TestReadLog_OfAWaitingClientIsGivenUpWithIt(t *testing.T) {
	l := serve(t, sessions(t))
	s := l.start(banger.StdinPipe, "cat")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 200 { // more than a user may have inotify instances
		wg.Go(func() {
			if _, err := l.read(ctx, guestapi.GuestLogRead{ID: s.ID, Stream: banger.StreamBoth, MaxBytes: 1, Wait: true}); err == nil {
				t.Error("there was nothing to be read")
			}
		})
	}
	if other := l.start(banger.StdinClosed, "echo", "hi"); l.output(other.ID, banger.StreamStdout) != "hi\n" {
		t.Error("others are held up")
	}
	cancel()
	wg.Wait()
}

func TestReadLog_RefusesWhatCannotBeRead(t *testing.T) {
	l := serve(t, sessions(t))
	s := l.start(banger.StdinClosed, "echo", "12345")
	l.output(s.ID, banger.StreamStdout)
	for name, test := range map[string]struct {
		read guestapi.GuestLogRead
		code banger.Code
	}{
		"unknown session": {guestapi.GuestLogRead{ID: banger.NewSessionID(), Stream: banger.StreamBoth, MaxBytes: 1}, banger.CodeNotFound},
		"no id":           {guestapi.GuestLogRead{ID: "..", Stream: banger.StreamBoth, MaxBytes: 1}, banger.CodeInvalid},
		"no bytes":        {guestapi.GuestLogRead{ID: s.ID, Stream: banger.StreamBoth}, banger.CodeInvalid},
		"too many bytes":  {guestapi.GuestLogRead{ID: s.ID, Stream: banger.StreamBoth, MaxBytes: guestapi.MaxLogPageBytes + 1}, banger.CodeInvalid},
		"no stream":       {guestapi.GuestLogRead{ID: s.ID, MaxBytes: 1}, banger.CodeInvalid},
		"beyond the end":  {guestapi.GuestLogRead{ID: s.ID, Stream: banger.StreamStdout, MaxBytes: 1, Cursor: banger.LogCursor{Stdout: 7}, Wait: true}, banger.CodeInvalid},
	} {
		if _, err := l.read(t.Context(), test.read); banger.CodeOf(err) != test.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStop_AsksFirstAndKillsAfterTheGrace(t *testing.T) {
	l := serve(t, sessions(t))
	polite := l.start(banger.StdinClosed, "sh", "-c", "trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.1; done")
	stubborn := l.start(banger.StdinClosed, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
	for _, s := range []guestapi.GuestSession{polite, stubborn} {
		if _, err := l.read(t.Context(), guestapi.GuestLogRead{ID: s.ID, Stream: banger.StreamStdout, MaxBytes: 10, Wait: true}); err != nil {
			t.Fatal(err)
		}
	}
	l.must(guestrpc.MethodStop, guestrpc.StopParams{ID: polite.ID, GraceMS: 20_000}, nil)
	l.await(polite.ID, "stopping", func(s guestapi.GuestSession) bool { return s.Status == banger.StatusStopping })
	if end := l.awaitEnd(polite.ID); end.EndedBy != banger.EndedByStop || end.ExitCode == nil || *end.ExitCode != 4 {
		t.Errorf("the polite one ended as %+v", end)
	}
	if out := l.output(polite.ID, banger.StreamStdout); out != "ready\nbye\n" {
		t.Errorf("the polite one said %q", out)
	}
	l.must(guestrpc.MethodStop, guestrpc.StopParams{ID: stubborn.ID, GraceMS: 1}, nil)
	if end := l.awaitEnd(stubborn.ID); end.EndedBy != banger.EndedByStop && end.EndedBy != banger.EndedByKill || end.ExitSignal != "SIGKILL" {
		t.Errorf("the stubborn one ended as %+v", end)
	}
	killed := l.start(banger.StdinClosed, "sleep", "60")
	l.must(guestrpc.MethodStop, guestrpc.StopParams{ID: killed.ID}, nil)
	if end := l.awaitEnd(killed.ID); end.EndedBy != banger.EndedByKill {
		t.Errorf("the killed one ended as %+v", end)
	}
	l.must(guestrpc.MethodStop, guestrpc.StopParams{ID: killed.ID}, nil) // it has ended: fine
	for name, p := range map[banger.Code]guestrpc.StopParams{
		banger.CodeNotFound: {ID: banger.NewSessionID()},
		banger.CodeInvalid:  {ID: killed.ID, GraceMS: -1},
	} {
		if err := l.call(t.Context(), guestrpc.MethodStop, p, nil); banger.CodeOf(err) != name {
			t.Errorf("stop %+v: %v", p, err)
		}
	}
}

// A kill may come just when the command has ended and left a process alive.
func TestStop_KillEndsWhatOutlivesTheCommand(t *testing.T) {
	l := serve(t, sessions(t))
	runs := 20
	if testing.Short() {
		runs = 4
	}
	for i := range runs {
		launch := launchOf(banger.StdinClosed, "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!")
		launch.KeepChildren = true
		s := l.launch(launch)
		if i%2 == 0 {
			l.awaitEnd(s.ID)
		}
		wait.For(t, "the shim to be gone", func() bool {
			err := l.call(t.Context(), guestrpc.MethodStop, guestrpc.StopParams{ID: s.ID}, nil)
			if code := banger.CodeOf(err); err != nil && code != banger.CodeUnavailable {
				t.Fatal(err)
			}
			return err == nil
		})
		if now := l.list()[s.ID]; !now.Status.Ended() || now.Survivors != nil {
			t.Errorf("run %d: %+v, survivors %+v", i, now, now.Survivors)
		}
		child, err := strconv.Atoi(strings.TrimSpace(l.output(s.ID, banger.StreamStdout)))
		if err == nil && alive(child) { // of a kill that came first there is no pid
			t.Errorf("run %d: a process is alive", i)
		}
	}
}

func TestRemove_DeletesEndedSessionsOnly(t *testing.T) {
	dir := sessions(t)
	l := serve(t, dir)
	s := l.start(banger.StdinPipe, "cat")
	err := l.call(t.Context(), guestrpc.MethodRemove, guestrpc.IDParams{ID: s.ID}, nil)
	var e *banger.Error
	if !errors.As(err, &e) || e.Code != banger.CodeState || e.Hint == "" {
		t.Errorf("removing a running session: %v", err)
	}
	l.write(s.ID, "", true)
	l.output(s.ID, banger.StreamStdout)
	for range 2 {
		l.must(guestrpc.MethodRemove, guestrpc.IDParams{ID: s.ID}, nil)
	}
	if list := l.list(); len(list) != 0 {
		t.Errorf("left in the list: %v", list)
	}
	if entries, err := os.ReadDir(dir); len(entries) != 0 || err != nil {
		t.Errorf("left on the disk: %v, %v", entries, err)
	}
	if err := l.call(t.Context(), guestrpc.MethodRemove, guestrpc.IDParams{ID: "../.."}, nil); banger.CodeOf(err) != banger.CodeInvalid {
		t.Errorf("removing a path: %v", err)
	}
}

func TestLinks_TwoAtOnceAgree(t *testing.T) {
	dir := sessions(t)
	old, young := serve(t, dir), serve(t, dir)
	s := old.start(banger.StdinPipe, "cat")
	if known := young.list()[s.ID]; known.GuestPID != s.GuestPID {
		t.Fatalf("the new link knows %+v", known)
	}
	old.hangs()
	young.write(s.ID, "x", true)
	if end := young.awaitEnd(s.ID); end.Status != banger.StatusExited || end.StdoutBytes != 1 {
		t.Errorf("the end is %+v", end)
	}
	if took := young.awaitEnd(s.ID).EndedAt.Sub(s.StartedAt); took < 0 || took > time.Minute {
		t.Errorf("it took %s", took)
	}
}
