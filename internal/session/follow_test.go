package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"banger"
)

// running starts a session s that runs.
func running(t *testing.T, r *rig) banger.Session {
	t.Helper()
	r.guest.launch = func(_ context.Context, l banger.GuestLaunch) (banger.GuestSession, error) {
		return report(l.ID, 1, banger.StatusRunning), nil
	}
	return <-r.begin(t, "")
}

// waited returns the end of session s.
func waited(t *testing.T, r *rig) <-chan banger.Session {
	t.Helper()
	ended := make(chan banger.Session, 1)
	go func() {
		x, err := r.WaitSession(t.Context(), vmName, "s")
		if err != nil {
			t.Error(err)
		}
		ended <- x
	}()
	return ended
}

func TestReconcile_OneSessionThatCannotBeSettledHindersNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		// What an earlier daemon left: a launch that nobody has in hand.
		x := banger.Session{ID: banger.NewSessionID(), VMID: r.vm.ID, Name: "s", Launch: banger.Launch{Command: "x", StdinMode: banger.StdinPipe}}
		x.Status = banger.StatusStarting
		if _, _, err := r.store.CreateSession(t.Context(), x, ""); err != nil {
			t.Fatal(err)
		}
		full := errors.New("the guest's disk is full")
		r.guest.abandon = func(context.Context, banger.SessionID) (banger.GuestSession, error) {
			return banger.GuestSession{}, full
		}
		up := func() error { return r.Service.Guest(r.vm.ID).GuestUp(t.Context(), banger.GuestHello{}, r.guest, nil) }
		if err := up(); err != nil {
			t.Errorf("the link is refused: %v", err)
		}
		if _, err := r.KillSession(t.Context(), vmName, "s"); !errors.Is(err, full) {
			t.Errorf("kill: %v", err)
		}
		r.guest.abandon = func(_ context.Context, id banger.SessionID) (banger.GuestSession, error) {
			return report(id, 1, banger.StatusFailed), nil
		}
		if x, err := r.KillSession(t.Context(), vmName, "s"); err != nil || !x.Status.Ended() {
			t.Errorf("kill once there is room: %+v, %v", x.SessionState, err)
		}
		// A link that breaks meanwhile is made anew.
		r.guest.abandon = func(context.Context, banger.SessionID) (banger.GuestSession, error) {
			return banger.GuestSession{}, unavailable("the link broke")
		}
		y := x
		y.ID, y.Name = banger.NewSessionID(), "t"
		if _, _, err := r.store.CreateSession(t.Context(), y, ""); err != nil {
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
		other := r.Service.Guest(banger.NewVMID())
		if err := other.GuestChanged(t.Context(), report(x.ID, 9, banger.StatusExited)); err != nil {
			t.Error(err)
		}
		reports := []banger.GuestSession{report(x.ID, 8, banger.StatusExited), report(banger.NewSessionID(), 1, banger.StatusRunning)}
		if err := other.GuestUp(t.Context(), banger.GuestHello{}, r.guest, reports); err != nil {
			t.Error(err)
		}
		if x := r.get(t); x.Status != banger.StatusRunning {
			t.Errorf("another VM's guest changed it: %+v", x.SessionState)
		}
	})
}

func TestStop_OfASessionThatItsGuestHasForgottenEndsIt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		running(t, r)
		r.guest.stop = func(context.Context, banger.SessionID) error {
			return banger.Errorf(banger.CodeNotFound, "cannot find session: the guest has no such session")
		}
		x, err := r.StopSession(t.Context(), vmName, "s", time.Second)
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
		_, err := r.StopSession(t.Context(), vmName, "s", time.Second)
		if err == nil || !strings.Contains(err.Error(), "shim") || calls < 3 || calls > 20 || time.Since(begun) > 10*time.Second {
			t.Errorf("%v after %d calls and %v", err, calls, time.Since(begun))
		}
	})
}

func TestEnd_IsNeverBeforeTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		x := running(t, r)
		ahead := report(x.ID, 2, banger.StatusStopping) // by a clock that is an hour fast
		ahead.StartedAt = time.Now().Add(time.Hour).UTC()
		if err := r.Service.Guest(r.vm.ID).GuestChanged(t.Context(), ahead); err != nil {
			t.Fatal(err)
		}
		if err := r.MachineEnded(t.Context(), r.vm.ID, banger.EndedByVMLost); err != nil {
			t.Fatal(err)
		}
		if x := r.get(t); x.EndedAt.Before(x.StartedAt) || x.EndedBy != banger.EndedByVMLost {
			t.Errorf("%+v", x.SessionState)
		}
		back := report(x.ID, 3, banger.StatusExited) // and then was set
		back.StartedAt, back.EndedAt = ahead.StartedAt, time.Now().UTC()
		if err := r.Service.Guest(r.vm.ID).GuestChanged(t.Context(), back); err != nil {
			t.Fatal(err)
		}
		if x := r.get(t); x.EndedAt.Before(x.StartedAt) || x.EndedBy != banger.EndedByExit {
			t.Errorf("%+v", x.SessionState)
		}
	})
}

func TestSend_InputAcceptedBeforeTheEndIsNotRefusedByARepeat(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		running(t, r)
		accepted := banger.SendResult{}
		cut := true
		r.guest.write = func(offset *int64, data []byte, eof bool) (banger.SendResult, error) {
			if offset == nil {
				return accepted, nil
			}
			if cut { // all is taken, the command reads it and ends, and the answer is lost
				accepted, cut = banger.SendResult{Offset: int64(len(data)), EOF: eof}, false
				return banger.SendResult{}, unavailable("the link broke")
			}
			return accepted, banger.Errorf(banger.CodeState, "cannot write to stdin: the session has ended")
		}
		send := func(data string) (banger.SendResult, error) {
			return r.SendSession(t.Context(), vmName, "s", banger.SendRequest{Data: strings.NewReader(data)})
		}
		if got, err := send("hello"); err != nil || got.Offset != 5 {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := send("more"); banger.CodeOf(err) != banger.CodeState || got.Offset != 5 {
			t.Errorf("what was not accepted: %+v, %v", got, err)
		}
	})
}
