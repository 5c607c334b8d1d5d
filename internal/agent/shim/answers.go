package shim

import (
	"sync"

	"banger/internal/termmodes"
)

const (
	// maxQueuedAnswers bounds those that wait: a command that asks and does not read loses
	// the rest, as it does with any terminal.
	maxQueuedAnswers = 64
	// cursorBytes is how much of the output is looked at to find the cursor.
	cursorBytes = 128 << 10
)

// answers types what a terminal answers, in order, while nobody's terminal is there to
// do so. It has a goroutine only while there is something to type. Safe for concurrent use.
type answers struct {
	stdin  *stdin
	cursor func(at int64) (row, col int, ok bool) // where it was behind a position of stdout
	typing sync.WaitGroup

	mu     sync.Mutex // guards everything below
	queue  []termmodes.Answer
	active bool // a goroutine types
}

// add answers questions, soon. It never blocks.
func (a *answers) add(asked []termmodes.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, asked[:min(len(asked), maxQueuedAnswers-len(a.queue))]...)
	if len(a.queue) > 0 && !a.active {
		a.active = true
		a.typing.Go(a.run)
	}
}

func (a *answers) run() {
	for {
		a.mu.Lock()
		asked := a.queue
		if a.queue = nil; len(asked) == 0 {
			a.active = false
			a.mu.Unlock()
			return
		}
		a.mu.Unlock()
		if a.stdin.awaitKeys() {
			a.stdin.answer(a.text(asked))
		}
	}
}

// text is what is typed in answer to questions.
func (a *answers) text(asked []termmodes.Answer) (text []byte) {
	for _, answer := range asked {
		if len(answer.Text) > 0 {
			text = append(text, answer.Text...)
		} else if row, col, ok := a.cursor(answer.At); ok {
			text = append(text, answer.CursorAnswer(row, col)...)
		}
	}
	return text
}
