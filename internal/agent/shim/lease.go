package shim

import (
	"context"
	"sync"
	"time"

	"banger/sessionstream"
)

// leaseTime is how long a writer may be silent, or be without a connection, before
// another attachment can take its place.
const leaseTime = 10 * time.Second

// lease says which attachment is the session's writer. Safe for concurrent use.
type lease struct {
	mu      sync.Mutex    // guards everything below, and that a writer's place is taken in one step
	holder  *attachment   // the writer's connection; nil while it has none
	id      string        // of the last writer's attachment
	client  string        // who that is
	until   time.Time     // when its claim ends
	changed chan struct{} // closed when the claim is renewed or given up; nil if nobody waits
}

// acquire makes a the writer, runs begin before anybody can take its place, and
// returns nil. again says that it was the last writer, too. The last writer can write no
// more then. If that one is alive and force is not set, the answer is an *Error with CodeHeld: so a writer that has gone
// without a word is replaced when its lease ends, and one that has not is noticed by
// its next sign of life. A further connection of an attachment takes the place of
// the last one, unless another attachment has become the writer since: *Evicted.
func (l *lease) acquire(ctx context.Context, a *attachment, force bool, begin func(again bool)) sessionstream.Control {
	l.mu.Lock()
	defer l.mu.Unlock()
	came := l.until
	for {
		left := time.Until(l.until)
		switch {
		case a.expelled:
			return replaced()
		case force, l.id == a.attach.AttachID, left <= 0 && (!a.attach.Resume || l.id == ""):
			again := l.id == a.attach.AttachID && a.attach.Resume
			l.install(a)
			begin(again)
			return nil
		case a.attach.Resume && l.id != "":
			return &sessionstream.Evicted{By: l.client}
		case l.holder != nil && !l.until.Equal(came): // it has given a sign of life
			return refusal(sessionstream.CodeHeld, "stdin is held by %s", l.name())
		}
		if !l.await(ctx, left) {
			return refusal(sessionstream.CodeHeld, "stdin is held by %s", l.name())
		}
	}
}

// await waits until the claim may have changed, for a time at most. It reports
// false if ctx has ended. The caller holds mu, which is free meanwhile.
func (l *lease) await(ctx context.Context, limit time.Duration) bool {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	changed := l.changed
	l.mu.Unlock()
	defer l.mu.Lock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// install puts a in the place of the last writer. The caller holds mu.
func (l *lease) install(a *attachment) {
	if old := l.holder; old != nil {
		old.fence()
		old.out.queue(&sessionstream.Evicted{By: a.attach.Client})
	}
	l.holder, l.id, l.client = a, a.attach.AttachID, a.attach.Client
	l.renew()
}

// renew prolongs the claim. The caller holds mu.
func (l *lease) renew() {
	l.until = time.Now().Add(leaseTime)
	l.wake()
}

func (l *lease) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

func (l *lease) name() string {
	if l.client == "" {
		return "another client"
	}
	return l.client
}

// as runs what only the writer may do, and reports whether a is that. It is a sign
// of life.
func (l *lease) as(a *attachment, do func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder != a {
		return false
	}
	l.renew()
	do()
	return true
}

// leave ends a's connection, and returns when no byte that it brought can reach the
// command any more: who is granted stdin next is granted what it left. If it ends in
// order, its claim does too; else another connection of its attachment may still come.
func (l *lease) leave(a *attachment, inOrder bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder != a {
		return // who took the place has seen to that
	}
	a.fence()
	l.holder = nil
	if inOrder {
		l.until = time.Time{}
		l.wake()
	}
	a.server.terminal.unattend(l.until)
}

// expel ends a for a newer connection of its attachment, which is to take its place and
// its claim. It becomes the writer no more.
func (l *lease) expel(a *attachment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.expelled = true
	if l.holder == a {
		a.fence()
		l.holder = nil
		a.server.terminal.unattend(l.until)
	}
	l.wake()
}

// replaced is what an expelled connection gets.
func replaced() *sessionstream.Error {
	return refusal(sessionstream.CodeReplaced, "a newer connection of the attachment has taken the place of this one")
}
