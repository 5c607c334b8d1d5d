package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/records"
)

func TestLaunch_WhoseMachineEndsBeforeTheAnswerIsStoredHasEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		recorded := make(chan struct{})
		r.guest.launch = func(ctx context.Context, l guestapi.GuestLaunch) (guestapi.GuestSession, error) {
			go func() {
				defer close(recorded)
				r.end(t, unreadable(time.Now().UTC()))
			}()
			<-ctx.Done()
			return report(l.ID, 1, banger.StatusRunning), nil
		}
		<-r.begin(t, "")
		<-recorded
		if x := <-waited(t, r); x.EndedBy != banger.EndedByVMLost || x.EndedAt.Before(x.StartedAt) {
			t.Errorf("%+v", x.SessionState)
		}
	})
}

func TestLaunch_WithoutAnAnswerIsPresumedLostWithItsMachine(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.guest.launch = func(_ context.Context, l guestapi.GuestLaunch) (guestapi.GuestSession, error) {
			r.reach(func(context.Context) (guestapi.Guest, error) {
				return nil, banger.Errorf(banger.CodeState, "cannot reach the guest: its VM is not running")
			})
			return guestapi.GuestSession{}, unavailable("the link broke")
		}
		started := r.begin(t, "")
		time.Sleep(5 * time.Second)
		r.end(t, unreadable(time.Now().UTC()))
		x := <-started
		if x.EndedBy != banger.EndedByVMLost || !records.Presumed(x.SessionState) {
			t.Errorf("%+v", x.SessionState)
		}
		// So what the disk says at the next boot is taken.
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(t.Context(), report(x.ID, 2, banger.StatusExited)); err != nil {
			t.Error(err)
		}
		if x := r.get(t); x.Status != banger.StatusExited {
			t.Errorf("%+v", x.SessionState)
		}
	})
}

func TestLaunch_ThatReachesNobodyHasFailed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.reach(func(ctx context.Context) (guestapi.Guest, error) {
			<-ctx.Done()
			return nil, unavailable("nobody is there")
		})
		if x := <-r.begin(t, ""); x.LaunchStage != banger.StageSSHUnavailable || x.LaunchMessage == "" {
			t.Errorf("%+v", x.SessionState)
		}
	})
}

func TestLaunch_IsSettledHoweverOftenThatFails(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.guest.launch = func(context.Context, guestapi.GuestLaunch) (guestapi.GuestSession, error) {
			return guestapi.GuestSession{}, unavailable("the link broke")
		}
		failures := []error{unavailable("the link broke"), errors.New("the guest's disk is full"), unavailable("the link broke")}
		r.guest.abandon = func(_ context.Context, id banger.SessionID) (guestapi.GuestSession, error) {
			if len(failures) > 0 {
				err := failures[0]
				failures = failures[1:]
				return guestapi.GuestSession{}, err
			}
			return report(id, 1, banger.StatusRunning), nil
		}
		if x := <-r.begin(t, ""); x.Status != banger.StatusRunning {
			t.Errorf("%+v", x.SessionState)
		}
	})
}

func TestLaunch_CallerIsToldInTheEndThatTheAnswerIsMissing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.guest.launch = func(ctx context.Context, _ guestapi.GuestLaunch) (guestapi.GuestSession, error) {
			<-ctx.Done()
			return guestapi.GuestSession{}, context.Cause(ctx)
		}
		begun := time.Now()
		x, err := r.StartSession(t.Context(), vmName, shell("s", "true"))
		if banger.CodeOf(err) != banger.CodeUnavailable || x.Status != banger.StatusStarting || time.Since(begun) > 5*time.Minute {
			t.Errorf("%+v, %v after %v", x.SessionState, err, time.Since(begun))
		}
	})
}

func TestLaunch_SecondCallOfAKeyWaitsForTheFirst(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want banger.Status
	}{
		"that succeeds": {nil, banger.StatusRunning},
		"that fails":    {errors.New("no such user"), banger.StatusFailed},
	} {
		inBubble(t, func(t *testing.T, r *rig) {
			answer := make(chan struct{})
			r.guest.launch = func(_ context.Context, l guestapi.GuestLaunch) (guestapi.GuestSession, error) {
				<-answer
				return report(l.ID, 1, banger.StatusRunning), c.err
			}
			first, second := r.begin(t, "key"), r.begin(t, "key")
			synctest.Wait()
			select {
			case <-first:
				t.Error("a call did not wait")
			case <-second:
				t.Error("a call did not wait")
			default:
			}
			close(answer)
			a, b := <-first, <-second
			if a.ID != b.ID || a.Status != c.want || b.Status != c.want {
				t.Errorf("%s: %+v, %+v", name, a.SessionState, b.SessionState)
			}
			if again := <-r.begin(t, "key"); again.ID != a.ID || again.Status != c.want {
				t.Errorf("%s: a later call: %+v", name, again.SessionState)
			}
		})
	}
}

func TestLaunch_GoesOnWithoutItsCaller(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		answer := make(chan struct{})
		r.guest.launch = func(_ context.Context, l guestapi.GuestLaunch) (guestapi.GuestSession, error) {
			<-answer
			return report(l.ID, 1, banger.StatusRunning), nil
		}
		ctx, leave := context.WithCancel(t.Context())
		called := make(chan error, 1)
		go func() {
			_, err := r.StartSession(ctx, vmName, shell("s", "true"))
			called <- err
		}()
		synctest.Wait()
		leave()
		if err := <-called; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		close(answer)
		synctest.Wait()
		if x := r.get(t); x.Status != banger.StatusRunning {
			t.Errorf("%+v", x.SessionState)
		}
	})
}

func TestRemove_WithForceWaitsForALaunchInHand(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		answer := make(chan struct{})
		r.guest.launch = func(_ context.Context, l guestapi.GuestLaunch) (guestapi.GuestSession, error) {
			<-answer
			return report(l.ID, 1, banger.StatusRunning), nil
		}
		r.guest.stop = func(ctx context.Context, id banger.SessionID) error {
			return r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(ctx, report(id, 2, banger.StatusFailed))
		}
		started := r.begin(t, "")
		synctest.Wait()
		if err := r.RemoveSession(t.Context(), vmName, "s", false); banger.CodeOf(err) != banger.CodeState {
			t.Errorf("without force: %v", err)
		}
		removed := make(chan error, 1)
		go func() { removed <- r.RemoveSession(t.Context(), vmName, "s", true) }()
		synctest.Wait()
		close(answer)
		<-started
		if err := <-removed; err != nil {
			t.Error(err)
		}
		if all, err := r.ListSessions(t.Context(), banger.SessionFilter{}); err != nil || len(all) != 0 {
			t.Errorf("%v, %v", all, err)
		}
	})
}
