package process_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"banger/internal/process"
)

func TestHead_KeepsTheSameHoweverTheOutputComes(t *testing.T) {
	const output = "0123456789"
	for limit := range len(output) + 2 {
		for size := 1; size <= len(output); size++ {
			w := &process.Head{Limit: limit}
			n, err := io.CopyBuffer(w, struct{ io.Reader }{strings.NewReader(output)}, make([]byte, size))
			if n != int64(len(output)) || err != nil {
				t.Errorf("limit %d, pieces of %d: it took %d bytes, %v", limit, size, n, err)
			}
			if got, want := string(w.Bytes()), output[:min(limit, len(output))]; got != want {
				t.Errorf("limit %d, pieces of %d: %q is kept, want %q", limit, size, got, want)
			}
		}
	}
}

func TestHead_ManyMayWrite(t *testing.T) {
	w := &process.Head{Limit: 150}
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			fmt.Fprint(w, "four") // the race detector is the judge
			w.Bytes()
		})
	}
	group.Wait()
	if got, want := string(w.Bytes()), strings.Repeat("four", 50)[:150]; got != want {
		t.Errorf("%q is kept", got)
	}
}
