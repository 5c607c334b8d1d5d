//go:build !unit

package session_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestbudget"
	"banger/internal/records"
	"banger/sessionstream"
)

// move sets the VM of a rig back: it is in another epoch, which has these sessions.
func (r *rig) move(t *testing.T, sessions ...banger.Session) {
	t.Helper()
	found := make([]records.FoundSession, len(sessions))
	for i, x := range sessions {
		found[i].Session = x
	}
	vm, err := r.store.VMs.BeginEpoch(t.Context(), banger.VM{ID: r.vm.ID, Epoch: banger.NewEpoch(), ParentEpoch: r.vm.Epoch}, found)
	if err != nil {
		t.Fatal(err)
	}
	r.vm = vm
}

func TestEpochs_AGuestOfABranchThatWasLeftChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		x := running(t, r)
		left := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch)
		if err := left.GuestChanged(t.Context(), report(x.ID, 2, banger.StatusRunning)); err != nil {
			t.Fatal(err)
		}
		r.move(t, x)
		if err := left.GuestChanged(t.Context(), report(x.ID, 9, banger.StatusExited)); err != nil {
			t.Errorf("a late report ends the link: %v", err)
		}
		for _, sessions := range [][]guestapi.GuestSession{{report(x.ID, 9, banger.StatusExited)}, nil} {
			r.guest.sessions = sessions
			_ = left.GuestUp(t.Context(), guestapi.GuestHello{BootID: "boot"}, r.guest)
			if now := r.get(t); now.Status != banger.StatusRunning || now.Sequence != x.Sequence {
				t.Errorf("the guest of the branch that was left changed it: %+v", now.SessionState)
			}
		}
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(t.Context(), report(x.ID, 3, banger.StatusExited)); err != nil {
			t.Error(err)
		}
		if now := r.get(t); now.Status != banger.StatusExited || now.Sequence != 3 {
			t.Errorf("its own guest did not: %+v", now.SessionState)
		}
	})
}

func TestEpochs_AReportThatWaitsIsOfTheMachineThatSentIt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		x := running(t, r)
		flood := func(g guestapi.GuestHandler, bytes int64) {
			for i := range int64(2 * guestbudget.StoreWritesAtOnce) {
				told := report(x.ID, 10+i, banger.StatusRunning)
				told.StdoutBytes = bytes
				if err := g.GuestChanged(t.Context(), told); err != nil {
					t.Fatal(err)
				}
			}
		}
		flood(r.Reconciler.Guest(r.vm.ID, r.vm.Epoch), 8)
		r.move(t, x)
		own := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch)
		r.guest.sessions = []guestapi.GuestSession{report(x.ID, 1, banger.StatusRunning)}
		if err := own.GuestUp(t.Context(), guestapi.GuestHello{BootID: "boot"}, r.guest); err != nil {
			t.Fatal(err)
		}
		flood(own, 4)
		time.Sleep(time.Minute) // of the bubble: the next tokens come
		synctest.Wait()
		if now := r.get(t); now.StdoutBytes != 4 {
			t.Errorf("what its guest said last is not recorded: %+v", now.SessionState)
		}
	})
}

func TestEpochs_AGuestWithTheBootOfAnotherBranchIsGoneThrough(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		x := running(t, r)
		r.guest.sessions = []guestapi.GuestSession{report(x.ID, 1, banger.StatusRunning)}
		hello := guestapi.GuestHello{BootID: "the boot of the snapshot"}
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestUp(t.Context(), hello, r.guest); err != nil {
			t.Fatal(err)
		}
		x.Status, x.EndedBy = banger.StatusFailed, banger.EndedByVMStopped // as is presumed
		r.move(t, x)
		end := report(x.ID, 5, banger.StatusExited)
		end.ExitCode = new(7)
		r.guest.sessions = []guestapi.GuestSession{end}
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestUp(t.Context(), hello, r.guest); err != nil {
			t.Fatal(err)
		}
		if now := r.get(t); now.ExitCode == nil || *now.ExitCode != 7 {
			t.Errorf("what is on its disk is not known: %+v", now.SessionState)
		}
	})
}

// aShim is what serves stdin of the rig's session: all that is sent is accepted.
type aShim struct {
	stdin string
	eof   bool
	hold  chan struct{} // if not nil, answers to stdin wait for it
}

func (s *aShim) attach(context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go s.serve(theirs)
	return ours, nil
}

func (s *aShim) serve(conn net.Conn) {
	defer conn.Close()
	r, w := sessionstream.NewReader(conn), sessionstream.NewWriter(conn)
	if _, err := r.ReadControl(); err != nil {
		return
	}
	granted := &sessionstream.Attached{Output: &banger.LogCursor{}, Stdin: &sessionstream.Grant{Offset: int64(len(s.stdin)), EOF: s.eof, WindowBytes: 100, LeaseMS: 10_000}}
	if w.WriteControl(granted) != nil {
		return
	}
	answers := make(chan sessionstream.Control, 100) // the pipe has no room for them
	defer close(answers)
	go func() {
		for c := range answers {
			_ = w.WriteControl(c)
		}
	}()
	for {
		h, err := r.Next()
		if err != nil {
			return
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return
		}
		switch {
		case h.Channel == sessionstream.ChannelStdin:
			s.stdin += string(data)
		case strings.HasPrefix(string(data), `{"eof"`):
			s.eof = true
		case strings.HasPrefix(string(data), `{"ping"`):
			answers <- &sessionstream.Pong{}
			continue
		case strings.HasPrefix(string(data), `{"detach"`):
			return
		default:
			continue
		}
		if s.hold != nil {
			<-s.hold
		}
		answers <- &sessionstream.StdinAck{Offset: int64(len(s.stdin)), EOF: s.eof}
	}
}

// sendAt sends with an offset.
func (r *rig) sendAt(t *testing.T, of banger.Epoch, offset int64, data string, eof bool) (banger.SendResult, error) {
	t.Helper()
	return r.SendSession(t.Context(), vmName, "s", banger.SendRequest{Data: strings.NewReader(data), Epoch: of, Offset: &offset, EOF: eof})
}

// partedStdin has a session that was set back to 4 bytes of stdin, and has accepted 6 others since.
func partedStdin(t *testing.T, r *rig) (left banger.Epoch, shim *aShim) {
	t.Helper()
	x := running(t, r)
	left = r.vm.Epoch
	shim = &aShim{stdin: "one\nother\n"}
	r.guest.attach = shim.attach
	x.StdinOffset = 4
	r.move(t, x)
	return left, shim
}

func wantStaleStdin(t *testing.T, what string, err error, epoch banger.Epoch, stdin int64) {
	t.Helper()
	var parted *banger.Parting
	if e, ok := errors.AsType[*banger.Error](err); ok && e.Code == banger.CodeStaleEpoch {
		parted = e.Parted
	}
	if e, ok := errors.AsType[*sessionstream.Error](err); ok && e.Code == sessionstream.CodeStaleEpoch {
		parted = e.Parted
	}
	if parted == nil || parted.Epoch != epoch || parted.Stdin != stdin {
		t.Errorf("%s: %v, parted at %+v", what, err, parted)
	}
}

func TestEpochs_StdinThatAnotherBranchAcceptedIsNotTakenForSent(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		left, shim := partedStdin(t, r)
		for _, c := range []struct {
			of     banger.Epoch
			offset int64
			data   string
			eof    bool
		}{{left, 4, "two\n", false}, {left, 0, "one\ntwo\n", false}, {left, 4, "", true}, {left, 0, "one\n", true}, {"", 4, "t", false}, {"", 0, "one\nt", false}, {left, 5, "", false}} {
			_, err := r.sendAt(t, c.of, c.offset, c.data, c.eof)
			wantStaleStdin(t, c.data, err, r.vm.Epoch, 4)
		}
		for _, c := range []struct {
			of     banger.Epoch
			offset int64
			data   string
			want   int64
		}{{left, 0, "one\n", 10}, {left, 2, "e", 10}, {left, 4, "", 10}, {r.vm.Epoch, 6, "her\n", 10}, {r.vm.Epoch, 10, "more\n", 15}} {
			got, err := r.sendAt(t, c.of, c.offset, c.data, false)
			if err != nil || got != (banger.SendResult{Epoch: r.vm.Epoch, Offset: c.want}) {
				t.Errorf("%q at %d of epoch %s: %+v, %v", c.data, c.offset, c.of, got, err)
			}
		}
		if shim.stdin != "one\nother\nmore\n" || shim.eof {
			t.Errorf("stdin is %q, ended %v", shim.stdin, shim.eof)
		}
	})
}

// attachTo sends an attach to the session of a rig, and returns the answer.
func (r *rig) attachTo(t *testing.T, a sessionstream.Attach) sessionstream.Control {
	t.Helper()
	serve, err := r.AttachSession(t.Context(), vmName, "s")
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		serve(t.Context(), theirs, 1)
	}()
	defer func() { ours.Close(); <-served }()
	if err := sessionstream.NewWriter(ours).WriteControl(&a); err != nil {
		t.Fatal(err)
	}
	c, err := sessionstream.NewReader(ours).ReadControl()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEpochs_AWriterWhoseStdinIsNotTheSessionsIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		left, shim := partedStdin(t, r)
		back := sessionstream.Attach{
			Role: sessionstream.RoleWriter, AttachID: "a", Resume: true, From: &banger.LogCursor{Epoch: left},
			Stdin: &sessionstream.StdinPosition{Epoch: left, Offset: 4},
		}
		refused, ok := r.attachTo(t, back).(*sessionstream.Error)
		if !ok {
			t.Fatal("a writer is let in that would take six bytes of others for its own")
		}
		wantStaleStdin(t, "a writer with bytes on their way", refused, r.vm.Epoch, 4)
		shim.stdin = "one\n"
		if attached, ok := r.attachTo(t, back).(*sessionstream.Attached); !ok || attached.Stdin.Offset != 4 || attached.Stdin.Epoch != r.vm.Epoch || attached.Output.Epoch != r.vm.Epoch {
			t.Errorf("where they parted: %+v", attached)
		}
		back.Stdin = nil // of revision 4
		if _, ok := r.attachTo(t, back).(*sessionstream.Error); !ok {
			t.Error("a writer is let in that does not say what it knows to be accepted")
		}
	})
}

func TestEpochs_WhatASendReportsIsOfTheEpochThatItNames(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		x := running(t, r)
		told := report(x.ID, 2, banger.StatusRunning)
		told.StdinOffset = 10
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(t.Context(), told); err != nil {
			t.Fatal(err)
		}
		left := r.vm.Epoch
		before := &aShim{stdin: "0123456789", hold: make(chan struct{})}
		r.guest.attach = before.attach
		sent := make(chan error)
		go func() {
			_, err := r.sendAt(t, left, 10, "a", false)
			sent <- err
		}()
		synctest.Wait()
		type answer struct {
			banger.SendResult
			error
		}
		second := make(chan answer)
		go func() {
			got, err := r.sendAt(t, left, 2, "b", false)
			second <- answer{got, err}
		}()
		synctest.Wait() // it waits for the first
		x.StdinOffset = 2
		r.move(t, x)
		r.guest.attach = (&aShim{stdin: "01"}).attach
		close(before.hold)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if got := <-second; got.error != nil || got.SendResult != (banger.SendResult{Epoch: r.vm.Epoch, Offset: 3}) {
			t.Errorf("%+v", got)
		}
	})
}

// movesWhileRead has the session's output read to at, and the VM set back to 4 bytes while
// more is awaited, of which another branch has these.
func movesWhileRead(t *testing.T, r *rig, first, other string) {
	t.Helper()
	x := running(t, r)
	text, moved := first, false
	r.guest.readLog = func(_ context.Context, q guestapi.GuestLogRead) (guestapi.GuestLogPage, error) {
		if at := q.Cursor.Stdout; at == int64(len(text)) && !moved {
			x.StdoutBytes = 4
			r.move(t, x)
			text, moved = other, true
			return guestapi.GuestLogPage{}, unavailable("the link broke")
		}
		at := min(q.Cursor.Stdout, int64(len(text)))
		end := banger.LogCursor{Stdout: int64(len(text))}
		return guestapi.GuestLogPage{Begin: q.Cursor, Next: end, AtEnd: true, Ended: moved, Chunks: []banger.LogChunk{{Stream: banger.StreamStdout, Offset: at, Data: []byte(text[at:])}}}, nil
	}
}

func TestEpochs_AMatchFindsNothingOfTwoBranches(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		movesWhileRead(t, r, "one\n", "one\nthree\n")
		m, err := r.MatchSession(t.Context(), vmName, "s", banger.MatchRequest{Pattern: "three"})
		if err != nil || m.Offset != 4 || m.Next != (banger.LogCursor{Epoch: r.vm.Epoch, Stdout: 9}) {
			t.Errorf("where they parted: %+v, %v", m, err)
		}
	})
	inBubble(t, func(t *testing.T, r *rig) {
		movesWhileRead(t, r, "one\ntw", "one\no of the other branch\n")
		m, err := r.MatchSession(t.Context(), vmName, "s", banger.MatchRequest{Pattern: "two"})
		if _, ok := errors.AsType[*banger.Error](err); !ok {
			t.Fatalf("a match of bytes of two branches: %+v, %v", m, err)
		}
		wantStale(t, "beyond where they parted", err, r.vm.Epoch, 4)
	})
}

func TestEpochs_AReadingThatFollowsNeverGetsBytesOfTwoBranches(t *testing.T) {
	follow := func(t *testing.T, r *rig) (text string, begins []banger.LogCursor, end banger.LogEnd, err error) {
		end, err = r.ReadLogs(t.Context(), vmName, "s", banger.LogRequest{Lines: -1, Follow: true, Begin: func(at banger.LogCursor) error {
			begins = append(begins, at)
			return nil
		}}, func(c banger.LogChunk) error {
			text += string(c.Data)
			return nil
		})
		return text, begins, end, err
	}
	inBubble(t, func(t *testing.T, r *rig) {
		left := r.vm.Epoch
		movesWhileRead(t, r, "one\n", "one\nthree\n")
		text, begins, end, err := follow(t, r)
		if err != nil || text != "one\nthree\n" || end.Next != (banger.LogCursor{Epoch: r.vm.Epoch, Stdout: 10}) {
			t.Errorf("where they parted: %q, %+v, %v", text, end, err)
		}
		if len(begins) != 2 || begins[0] != (banger.LogCursor{Epoch: left}) || begins[1] != (banger.LogCursor{Epoch: r.vm.Epoch, Stdout: 4}) {
			t.Errorf("it begins at %+v", begins)
		}
	})
	inBubble(t, func(t *testing.T, r *rig) {
		left := r.vm.Epoch
		movesWhileRead(t, r, "one\ntwo\n", "one\nthree\n")
		text, _, end, err := follow(t, r)
		wantStale(t, "beyond where they parted", err, r.vm.Epoch, 4)
		if text != "one\ntwo\n" || end.Next != (banger.LogCursor{Epoch: left, Stdout: 8}) {
			t.Errorf("%q, %+v", text, end)
		}
	})
}

func TestEpochs_AWaitIsForTheEndInTheBranchThatTheVMIsIn(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		x := running(t, r)
		left, ended := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch), waited(t, r)
		synctest.Wait()
		r.move(t, x)
		if err := left.GuestChanged(t.Context(), report(x.ID, 9, banger.StatusFailed)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		select {
		case x := <-ended:
			t.Errorf("the end in the branch that was left: %+v", x.SessionState)
		default:
		}
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(t.Context(), report(x.ID, 2, banger.StatusExited)); err != nil {
			t.Error(err)
		}
		if x := <-ended; x.Status != banger.StatusExited || x.Epoch != r.vm.Epoch {
			t.Errorf("%+v", x)
		}
	})
	inBubble(t, func(t *testing.T, r *rig) {
		running(t, r)
		gone := make(chan error)
		go func() {
			_, err := r.WaitSession(t.Context(), vmName, "s")
			gone <- err
		}()
		synctest.Wait()
		r.move(t)
		if err := <-gone; banger.CodeOf(err) != banger.CodeGone {
			t.Errorf("of a session that the branch does not have: %v", err)
		}
	})
}
