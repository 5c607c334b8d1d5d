package guest

import "banger/internal/guestbudget"

// turns lets a few large messages be decoded at a time, of all guests together, so that
// many guests that say the worst at once cost no more than a few. What is small does not
// wait. A nil turns lets everything be decoded.
type turns chan struct{}

func newTurns() turns { return make(turns, guestbudget.MessagesAtOnce) }

// take waits for a turn for a message of that size, and returns the function that
// ends it. Nobody waits for anything else meanwhile.
func (t turns) take(bytes int) (done func()) {
	if bytes <= guestbudget.LargeMessage || t == nil {
		return func() {}
	}
	t <- struct{}{}
	return func() { <-t }
}
