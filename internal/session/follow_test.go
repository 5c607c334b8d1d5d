//go:build !unit

package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/sessionstream"
)

func TestReconcile_OneSessionThatCannotBeSettledHindersNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		// What an earlier daemon left: a launch that nobody has in hand.
		x := banger.Session{ID: banger.NewSessionID(), VMID: r.vm.ID, Name: "s", Launch: banger.Launch{Command: "x", StdinMode: banger.StdinPipe}}
		x.Status = banger.StatusStarting
		if _, _, err := r.store.Sessions.CreateSession(t.Context(), x, ""); err != nil {
			t.Fatal(err)
		}
		full := errors.New("the guest's disk is full")
		r.guest.abandon = func(context.Context, banger.SessionID) (guestapi.GuestSession, error) {
			return guestapi.GuestSession{}, full
		}
		up := func() error {
			return r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestUp(t.Context(), guestapi.GuestHello{BootID: "boot"}, r.guest)
		}
		if err := up(); err != nil {
			t.Errorf("the link is refused: %v", err)
		}
		if _, err := r.StopSession(t.Context(), vmName, "s", banger.StopRequest{Kill: true}); !errors.Is(err, full) {
			t.Errorf("kill: %v", err)
		}
		r.guest.abandon = func(_ context.Context, id banger.SessionID) (guestapi.GuestSession, error) {
			return report(id, 1, banger.StatusFailed), nil
		}
		if x, err := r.StopSession(t.Context(), vmName, "s", banger.StopRequest{Kill: true}); err != nil || !x.Status.Ended() {
			t.Errorf("kill once there is room: %+v, %v", x.SessionState, err)
		}
		// A link that breaks meanwhile is made again.
		r.guest.abandon = func(context.Context, banger.SessionID) (guestapi.GuestSession, error) {
			return guestapi.GuestSession{}, unavailable("the link broke")
		}
		y := x
		y.ID, y.Name = banger.NewSessionID(), "t"
		if _, _, err := r.store.Sessions.CreateSession(t.Context(), y, ""); err != nil {
			t.Fatal(err)
		}
		if err := up(); banger.CodeOf(err) != banger.CodeUnavailable {
			t.Errorf("got %v", err)
		}
	})
}

func TestReconcile_ReportsOfStrangersChangeNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		x := running(t, r)
		other := r.Reconciler.Guest(banger.NewVMID(), r.vm.Epoch)
		if err := other.GuestChanged(t.Context(), report(x.ID, 9, banger.StatusExited)); err != nil {
			t.Error(err)
		}
		reports := []guestapi.GuestSession{report(x.ID, 8, banger.StatusExited), report(banger.NewSessionID(), 1, banger.StatusRunning)}
		r.guest.sessions = reports
		if err := other.GuestUp(t.Context(), guestapi.GuestHello{BootID: "boot"}, r.guest); err != nil {
			t.Error(err)
		}
		if x := r.get(t); x.Status != banger.StatusRunning {
			t.Errorf("another VM's guest changed it: %+v", x.SessionState)
		}
	})
}

func TestReconcile_TakesInManyAndWhatCannotBeHindersNoneOfThem(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		const sessions = 100
		var reports []guestapi.GuestSession
		for i := range sessions {
			x := banger.Session{ID: banger.NewSessionID(), VMID: r.vm.ID, Name: fmt.Sprint(i), Launch: banger.Launch{Command: "x", StdinMode: banger.StdinPipe}}
			x.Status, x.Sequence = banger.StatusRunning, 1
			if _, _, err := r.store.Sessions.CreateSession(t.Context(), x, ""); err != nil {
				t.Fatal(err)
			}
			// Of each three one has ended, one is as it was, and of one what is told cannot be.
			news := []guestapi.GuestSession{report(x.ID, 2, banger.StatusExited), report(x.ID, 1, banger.StatusRunning), report(x.ID, 2, banger.StatusStarting)}
			reports = append(reports, news[i%3])
		}
		before, err := r.store.Events.Revision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.guest.sessions = reports
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestUp(t.Context(), guestapi.GuestHello{BootID: "boot"}, r.guest); err != nil {
			t.Fatal(err)
		}
		got, err := r.store.Sessions.ListSessions(t.Context(), r.vm.ID)
		if err != nil {
			t.Fatal(err)
		}
		ended := int64(0)
		for i, x := range got {
			if x.Status.Ended() != (i%3 == 0) {
				t.Errorf("session %d is %s", i, x.Status)
			}
			if x.Status.Ended() {
				ended++
			}
		}
		if after, err := r.store.Events.Revision(t.Context()); err != nil || after-before != ended {
			t.Errorf("%d sessions have ended and %d events are made, %v", ended, after-before, err)
		}
	})
}

func TestStop_OfASessionThatItsGuestHasForgottenEndsIt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		running(t, r)
		r.guest.stop = func(context.Context, banger.SessionID) error {
			return banger.Errorf(banger.CodeNotFound, "cannot find session: the guest has no such session")
		}
		x, err := r.StopSession(t.Context(), vmName, "s", banger.StopRequest{Grace: time.Second})
		if err != nil || x.EndedBy != banger.EndedByShimLost {
			t.Errorf("%+v, %v", x.SessionState, err)
		}
		if err := r.RemoveSession(t.Context(), vmName, "s", false); err != nil {
			t.Error(err)
		}
	})
}

func TestStop_GuestThatCannotDoItIsAskedSomeTimesAndThenBelieved(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		running(t, r)
		calls := 0
		r.guest.stop = func(context.Context, banger.SessionID) error {
			calls++
			return unavailable("cannot stop session: its shim does not answer")
		}
		begun := time.Now()
		_, err := r.StopSession(t.Context(), vmName, "s", banger.StopRequest{Grace: time.Second})
		if err == nil || !strings.Contains(err.Error(), "shim") || calls < 3 || calls > 20 || time.Since(begun) > 10*time.Second {
			t.Errorf("%v after %d calls and %v", err, calls, time.Since(begun))
		}
	})
}

func TestSignal_IsOneRequestHoweverOftenTheLinkBreaks(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		x := running(t, r)
		var asked []guestapi.GuestSignal
		r.guest.signal = func(s guestapi.GuestSignal) error {
			asked = append(asked, s)
			if len(asked) < 3 {
				return unavailable("the link broke")
			}
			return nil
		}
		if err := r.SignalSession(t.Context(), vmName, "s", banger.SignalRequest{Signal: "hup", All: true}); err != nil {
			t.Fatal(err)
		}
		if len(asked) != 3 || asked[0].ID == "" || asked[0] != asked[1] || asked[0] != asked[2] || asked[0].Signal != "SIGHUP" || !asked[0].All {
			t.Errorf("%+v", asked)
		}
		asked = nil
		ended := banger.Errorf(banger.CodeState, "it has ended")
		r.guest.signal = func(s guestapi.GuestSignal) error {
			if asked = append(asked, s); len(asked) == 1 {
				return unavailable("the link broke")
			}
			return ended
		}
		err := r.SignalSession(t.Context(), vmName, "s", banger.SignalRequest{Signal: "9"})
		if banger.CodeOf(err) != banger.CodeUnavailable || !strings.Contains(err.Error(), "cannot determine") || asked[0].Signal != "9" {
			t.Errorf("nobody can know whether it was sent: %v, %+v", err, asked)
		}
		r.guest.signal = func(guestapi.GuestSignal) error { return ended }
		if err := r.SignalSession(t.Context(), vmName, "s", banger.SignalRequest{Signal: "9"}); banger.CodeOf(err) != banger.CodeState {
			t.Errorf("it was not sent: %v", err)
		}
		r.guest.signal = func(s guestapi.GuestSignal) error { asked = append(asked, s); return nil }
		if err := r.SignalSession(t.Context(), vmName, "s", banger.SignalRequest{Signal: "rtmin+6"}); err != nil || asked[len(asked)-1].Signal != "40" {
			t.Errorf("a real-time signal: %v, %+v", err, asked)
		}
		for _, bad := range []string{"", "H UP", "-1", "sig/x", "NONE", "RTMIN-1", "SIG"} {
			if err := r.SignalSession(t.Context(), vmName, "s", banger.SignalRequest{Signal: bad}); banger.CodeOf(err) != banger.CodeInvalid {
				t.Errorf("signal %q: %v", bad, err)
			}
		}
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(t.Context(), report(x.ID, 9, banger.StatusExited)); err != nil {
			t.Fatal(err)
		}
		if err := r.SignalSession(t.Context(), vmName, "s", banger.SignalRequest{Signal: "9"}); banger.CodeOf(err) != banger.CodeState {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestInspect_HasTheCountersOfThisMomentIfTheGuestCanBeAsked(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		x := running(t, r)
		now := report(x.ID, 2, banger.StatusRunning)
		now.StdoutBytes = 77
		r.guest.inspect = func() (guestapi.GuestSession, error) { return now, nil }
		if got, err := r.InspectSession(t.Context(), vmName, "s"); err != nil || got.StdoutBytes != 77 || got.Name != "s" {
			t.Errorf("%+v, %v", got.SessionState, err)
		}
		r.guest.inspect = func() (guestapi.GuestSession, error) { return now, unavailable("no link") }
		if got, err := r.InspectSession(t.Context(), vmName, "s"); err != nil || got.StdoutBytes != 0 || got.Status != banger.StatusRunning {
			t.Errorf("%+v, %v", got.SessionState, err)
		}
	})
}

func TestEnd_IsNeverBeforeTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		x := running(t, r)
		ahead := report(x.ID, 2, banger.StatusStopping) // by a clock that is an hour fast
		ahead.StartedAt = time.Now().Add(time.Hour).UTC()
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(t.Context(), ahead); err != nil {
			t.Fatal(err)
		}
		r.end(t, unreadable(time.Now().UTC()))
		if x := r.get(t); x.EndedAt.Before(x.StartedAt) || x.EndedBy != banger.EndedByVMLost {
			t.Errorf("%+v", x.SessionState)
		}
		back := report(x.ID, 3, banger.StatusExited) // and then was set
		back.StartedAt, back.EndedAt = ahead.StartedAt, time.Now().UTC()
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(t.Context(), back); err != nil {
			t.Fatal(err)
		}
		if x := r.get(t); x.EndedAt.Before(x.StartedAt) || x.EndedBy != banger.EndedByExit {
			t.Errorf("%+v", x.SessionState)
		}
	})
}

// endedShim takes all that it is sent, and answers nothing but attach.
func endedShim(conn net.Conn, taken chan<- string) {
	defer conn.Close()
	r, w := sessionstream.NewReader(conn), sessionstream.NewWriter(conn)
	if _, err := r.ReadControl(); err != nil {
		return
	}
	_ = w.WriteControl(&sessionstream.Attached{Stdin: &sessionstream.Grant{WindowBytes: 100, LeaseMS: 10_000}})
	for {
		h, err := r.Next()
		if err != nil {
			return
		}
		if data, err := io.ReadAll(r); h.Channel == sessionstream.ChannelStdin && err == nil {
			taken <- string(data)
			return
		}
	}
}

func TestSend_InputAcceptedBeforeTheEndIsNotRefusedByARepeat(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id := running(t, r).ID
		taken := make(chan string, 1)
		var attached atomic.Bool
		r.guest.attach = func(context.Context) (net.Conn, error) {
			if attached.Swap(true) {
				return nil, unavailable("there is no shim")
			}
			ours, theirs := net.Pipe()
			go endedShim(theirs, taken)
			return ours, nil
		}
		type answer struct {
			banger.SendResult
			error
		}
		answers := make(chan answer, 1)
		go func() {
			got, err := r.SendSession(t.Context(), vmName, "s", banger.SendRequest{Data: strings.NewReader("hello")})
			answers <- answer{got, err}
		}()
		// All is taken, the command reads it and ends, and the answer is lost.
		if data := <-taken; data != "hello" {
			t.Errorf("stdin was %q", data)
		}
		end := report(id, 10, banger.StatusExited)
		end.StdinOffset = 5
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		if got := <-answers; got.error != nil || got.Offset != 5 {
			t.Errorf("%+v", got)
		}
		got, err := r.SendSession(t.Context(), vmName, "s", banger.SendRequest{Data: strings.NewReader("more")})
		if banger.CodeOf(err) != banger.CodeState || got.Offset != 5 {
			t.Errorf("what was not accepted: %+v, %v", got, err)
		}
	})
}
