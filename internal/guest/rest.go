package guest

import (
	"context"
	"errors"
	"time"

	"banger"
	"banger/internal/guestbudget"
	"banger/internal/vmm"
)

// refusedLogin is the error of a host that was reached and has not let us in, or cannot be used:
// to repeat the login changes nothing but the host's and the user's patience.
type refusedLogin struct{ error }

// Is makes it a vmm.ErrLoginRefused.
func (*refusedLogin) Is(target error) bool { return target == vmm.ErrLoginRefused }

// Unwrap returns the cause.
func (r *refusedLogin) Unwrap() error { return r.error }

// asRefusal marks err if it is one: what has no key, no answer of the user, or a wrong
// configuration is not a host that is away.
func asRefusal(err error) error {
	switch banger.CodeOf(err) {
	case banger.CodeMissing, banger.CodeQuestion, banger.CodeInvalid:
		return &refusedLogin{err}
	}
	return err
}

// minAttempt is the least time between two attempts that somebody is in a hurry for.
const minAttempt = time.Second

// rest waits until a link that is down is to be tried again: after a refused login when
// there is a reason to, else after pause, or before when somebody is in a hurry for a
// remote host. It returns with ctx.
func (k *link) rest(ctx context.Context, pause time.Duration, err error) {
	hurry := k.hurry
	if errors.Is(err, vmm.ErrLoginRefused) {
		pause, hurry = guestbudget.RefusedLoginPause, nil
	}
	began := time.Now()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-k.reason:
			return
		case <-hurry:
			hurry = nil
			timer.Reset(max(min(pause, minAttempt)-time.Since(began), 0))
		case <-ctx.Done():
			return
		}
	}
}

// wanted says that somebody needs the guest. A host that is away is tried soon, one that
// has refused the login only if something has changed on which that depends.
func (k *link) wanted() {
	host, ok := k.access.Machine.(Host)
	if !ok {
		return
	}
	k.mu.Lock()
	down, seen := k.down, k.fingerprint
	up := k.control != nil
	k.mu.Unlock()
	switch {
	case up || down == nil:
	case !errors.Is(down, vmm.ErrLoginRefused):
		poke(k.hurry)
	case host.Fingerprint() != seen:
		k.retry()
	}
}

// retry has a link that rests tried again.
func (k *link) retry() {
	k.mu.Lock()
	k.resting = nil
	k.mu.Unlock()
	poke(k.reason)
}

// poke leaves an element in a channel with room for one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // there is one
	}
}

// Retry has the link to a VM tried again, if it is down: its user has given a reason to.
func (l *Links) Retry(id banger.VMID) {
	l.mu.Lock()
	k := l.links[id]
	l.mu.Unlock()
	if k != nil {
		k.retry()
	}
}

// NetworkChanged has remote hosts tried again that could not be reached.
func (l *Links) NetworkChanged() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.links {
		poke(k.hurry)
	}
}

// Refused returns why the host of a VM has refused the login, if that is not to be tried
// again before there is a reason to; else nil.
func (l *Links) Refused(id banger.VMID) error {
	l.mu.Lock()
	k := l.links[id]
	l.mu.Unlock()
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.resting
}
