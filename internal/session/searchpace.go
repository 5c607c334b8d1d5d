package session

import (
	"context"
	"fmt"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestbudget"
	"banger/internal/records"
)

// slots lets a search read in a few VMs at a time. Who waits gets one in the order of
// asking.
type slots chan struct{}

func (s slots) take(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s slots) give() { <-s }

// searchPace is what the search of one session may cost, and how far it has come. How
// long a log is, and how fast it comes, only its guest or its disk says. The goroutine that
// uses it holds a slot. Not safe for concurrent use.
type searchPace struct {
	slots slots
	most  int64 // bytes of output

	read  int64
	spent time.Duration // reading, with a slot
	since time.Time     // when this turn of the slot began
	turn  time.Duration // of this slot
}

// slotTurn is how long a VM reads before another one that waits gets its slot.
const slotTurn = time.Second

// newSearchPace is that of session x, whose VM has a work disk of that size in bytes, or none
// that is known.
func newSearchPace(s slots, x banger.Session, disk int64) *searchPace {
	kept := x
	if !x.Status.Ended() { // how much it has written is not recorded yet
		kept.StdoutBytes, kept.StderrBytes = guestbudget.SearchMost, guestbudget.SearchMost
	}
	most := min(records.KeptBytes(kept), guestbudget.SearchMost)
	if disk > 0 {
		most = min(most, disk)
	}
	return &searchPace{slots: s, most: most + guestbudget.SearchSlack}
}

// begin is called before a page is read.
func (p *searchPace) begin(ctx context.Context) error {
	if p.turn >= slotTurn {
		p.turn = 0
		p.slots.give()
		if err := p.slots.take(context.WithoutCancel(ctx)); err != nil { // who called us gives it
			return err
		}
	}
	p.since = time.Now()
	return nil
}

// end is called with what a page has. It fails when the session is not to be read on.
func (p *searchPace) end(page guestapi.GuestLogPage) error {
	took := time.Since(p.since)
	p.spent, p.turn = p.spent+took, p.turn+took
	for _, c := range page.Chunks {
		p.read += int64(len(c.Data))
	}
	var why string
	switch late := p.spent - guestbudget.SearchGrace; {
	case p.read > p.most:
		why = fmt.Sprintf("its log continues beyond the %d bytes that it can have", p.most)
	case late > 0 && float64(p.read) < late.Seconds()*guestbudget.SearchFloor:
		why = fmt.Sprintf("no more than %d bytes of its log have come in %s", p.read, p.spent.Round(time.Second))
	case p.spent > guestbudget.SearchTime:
		why = fmt.Sprintf("its log has not ended after %d bytes and %s", p.read, p.spent.Round(time.Second))
	default:
		return nil
	}
	return banger.Errorf(banger.CodeUnavailable, "its search was abandoned: %s", why).
		WithHint("search it alone: banger session logs, with --grep")
}
