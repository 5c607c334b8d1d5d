package shim

import (
	"sync"

	"banger/internal/termmodes"
)

// maxAnswerBytes bounds the answers that wait: a command that asks and does not read
// loses the rest, as it does with any terminal.
const maxAnswerBytes = 4 << 10

// answers types what a terminal answers, in order, while nobody's terminal is there to
// do so. It has a goroutine only while there is something to type. Safe for concurrent use.
type answers struct {
	stdin  *stdin
	typing sync.WaitGroup

	mu     sync.Mutex // guards everything below
	queue  []byte
	active bool // a goroutine types
}

// add answers questions, soon. It never blocks.
func (a *answers) add(asked []termmodes.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, answer := range asked {
		if len(a.queue)+len(answer.Text) <= maxAnswerBytes {
			a.queue = append(a.queue, answer.Text...)
		}
	}
	if len(a.queue) > 0 && !a.active {
		a.active = true
		a.typing.Go(a.run)
	}
}

func (a *answers) run() {
	for {
		a.mu.Lock()
		text := a.queue
		if a.queue = nil; len(text) == 0 {
			a.active = false
			a.mu.Unlock()
			return
		}
		a.mu.Unlock()
		a.stdin.answer(text)
	}
}
