package fault

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"banger"
	"banger/sessionstream"
	"banger/test/wait"
)

// holding is one writer's time: what was granted, and what it knows.
type holding struct {
	mark    byte  // every byte that it sends
	from    int64 // position in stdin at which it was granted
	through int64 // position of the last acknowledgement
}

// contender takes stdin over again and again, soon after it has lost it, and sends
// bytes that say in which of its times they were sent.
type contender struct {
	marks  []byte // of its times, in turn
	leaves int    // the most output, in bytes, before it takes stdin over again
	won    *atomic.Int64
	times  []holding
}

func (c *contender) contend(a *sessionstream.Attachment) error {
	a.Takeover(sessionstream.Takeover{})
	endWriting := func() {}
	defer func() { endWriting() }()
	seen, again := 0, 0 // how much output, and at how much it takes stdin over
	for {
		m, err := a.Receive()
		if err != nil {
			return err
		}
		before := seen
		if seen += len(m.Data); before < again && seen >= again {
			a.Takeover(sessionstream.Takeover{})
		}
		switch m := m.Control.(type) {
		case *sessionstream.Granted:
			c.won.Add(1)
			mark := c.marks[len(c.times)%len(c.marks)]
			c.times = append(c.times, holding{mark, m.Stdin.Offset, m.Stdin.Offset})
			endWriting = writeUntilEvicted(a, mark)
		case *sessionstream.StdinAck:
			c.times[len(c.times)-1].through = m.Offset
		case *sessionstream.Evicted:
			endWriting() // a write fails now; after the next grant it would not
			again = seen + 1 + rand.IntN(c.leaves)
		}
	}
}

// writeUntilEvicted writes marks all the time. end returns when that is over, which
// it must be by then.
func writeUntilEvicted(a *sessionstream.Attachment, mark byte) (end func()) {
	var writing sync.WaitGroup
	writing.Go(func() {
		text := bytes.Repeat([]byte{mark}, 1000)
		for {
			if _, err := a.Write(text); err != nil {
				return
			}
		}
	})
	return writing.Wait
}

// Clients fight over stdin: where one was granted it, only that one's bytes
// follow, those of that time, up to where the next one was granted it; and what was
// acknowledged to it is there.
func TestFault_FencedWriterLandsNoByteAfterATakeover(t *testing.T) {
	fenceWriters(onLoopback(t), 20, int64(sized(200, 2000)), 512<<10)
}

func fenceWriters(r *rig, clients int, takeovers int64, leaves int) {
	t := r.t
	x := r.work("fought over", "sip")
	var won, ended atomic.Int64
	fighters := make([]contender, clients)
	var attachments []*sessionstream.Attachment
	for n := range fighters {
		c := &fighters[n]
		c.won, c.leaves = &won, leaves
		for mark := n; mark < 256; mark += clients {
			c.marks = append(c.marks, byte(mark))
		}
		a := r.attach(x, sessionstream.Attach{Role: sessionstream.RoleViewer, Client: fmt.Sprintf("client %d", n)})
		attachments = append(attachments, a)
		go func() {
			defer ended.Add(1)
			if err := c.contend(a); !errors.Is(err, sessionstream.ErrClosed) {
				t.Errorf("client %d: %v", n, err)
			}
		}()
	}
	wait.For(t, "the takeovers", func() bool { return won.Load() >= takeovers })
	last := r.attach(x, sessionstream.Attach{Role: sessionstream.RoleViewer, Client: "the last", From: &banger.LogCursor{}})
	last.Takeover(sessionstream.Takeover{})
	text := make(chan []byte, 1)
	go func() { text <- receiveAll(t, last) }()
	for _, a := range attachments {
		a.Close()
	}
	wait.For(t, "the end", func() bool {
		_ = last.CloseStdin() // if the place is its own and stays that
		return ended.Load() == int64(clients) && len(text) > 0
	})
	checkFences(t, <-text, fighters)
}

// receiveAll receives the output to its end, and takes stdin over for ever.
func receiveAll(t *testing.T, a *sessionstream.Attachment) (text []byte) {
	for {
		m, err := a.Receive()
		if errors.Is(err, io.EOF) {
			return text
		}
		if err != nil {
			t.Errorf("the last client: %v", err)
			return text
		}
		text = append(text, m.Data...)
		if _, ok := m.Control.(*sessionstream.Evicted); ok {
			a.Takeover(sessionstream.Takeover{})
		}
	}
}

// checkFences compares what the command has read with what its writers know.
func checkFences(t *testing.T, text []byte, fighters []contender) {
	t.Helper()
	var times []holding
	for _, c := range fighters {
		times = append(times, c.times...)
	}
	slices.SortFunc(times, func(a, b holding) int { return cmp.Compare(a.from, b.from) })
	if len(times) == 0 || len(text) < len(times) {
		t.Fatalf("%d times of writers in %d bytes", len(times), len(text))
	}
	wrote := 0
	for n := 0; n < len(times); {
		from, end, through := times[n].from, int64(len(text)), int64(0)
		marks := map[byte]bool{}
		for ; n < len(times) && times[n].from == from; n++ { // all but one of these wrote nothing
			marks[times[n].mark] = true
			through = max(through, times[n].through)
		}
		if n < len(times) {
			end = times[n].from
		}
		if through > end {
			t.Errorf("a writer from %d was told of %d bytes, but the next one came at %d", from, through, end)
		}
		part := text[from:end]
		if len(part) > 0 {
			wrote++
		}
		if len(part) > 0 && (!marks[part[0]] || len(bytes.Trim(part, string(part[:1]))) > 0) {
			t.Errorf("from %d to %d there are bytes of others", from, end)
		}
	}
	t.Logf("%d bytes; stdin was granted %d times, and %d times written to", len(text), len(times), wrote)
}
