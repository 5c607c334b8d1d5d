//go:build !unit

package sessiondir_test

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"banger"
	"banger/internal/sessiondir"
)

// A reader that is overtaken by two writes sees a whole state.
func TestReadState_IsWholeWhileItIsWritten(t *testing.T) {
	dir, lock, err := sessiondir.Create(t.TempDir(), launch())
	must(t, err)
	defer lock.Close()
	state, err := sessiondir.ReadState(os.DirFS(dir))
	must(t, err)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := int64(2); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			state.Sequence, state.StdoutBytes = n, n
			state.LastError = strings.Repeat(string(rune('a'+n%26)), 6000)
			if err := sessiondir.WriteState(dir, state); err != nil {
				t.Error(err)
			}
		}
	})
	for range 3000 {
		got, err := sessiondir.ReadState(os.DirFS(dir))
		if err != nil || got.Sequence > 1 && (got.StdoutBytes != got.Sequence || strings.Trim(got.LastError, string(rune('a'+got.Sequence%26))) != "") {
			t.Fatalf("state %d has %d bytes and %.20q: %v", got.Sequence, got.StdoutBytes, got.LastError, err)
		}
	}
	close(stop)
	writer.Wait()
}

// While output is given up at the one end, readers never take its hole for output.
func TestReader_IsNotOvertakenByTheLimit(t *testing.T) {
	dir := t.TempDir()
	w, err := sessiondir.OpenWriter(dir, true, 64<<10)
	must(t, err)
	defer w.Close()
	follower, err := w.Follow(banger.LogCursor{})
	must(t, err)
	const total = 8 << 20
	written := make(chan error, 1)
	go func() {
		for at := int64(0); at < total; at += 4 << 10 {
			if _, err := w.Append(banger.StreamStdout, pattern(at, 4<<10), epoch.Add(time.Duration(at))); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	var read, followed []banger.LogChunk
	r, next := sessiondir.NewLiveReader(os.DirFS(dir)), banger.LogCursor{}
	for next.Stdout < total || follower.At().Stdout < total {
		chunks, after, _, err := r.Page(banger.StreamStdout, next, 16<<10)
		if err != nil && banger.CodeOf(err) != banger.CodeUnavailable {
			t.Fatal(err)
		}
		read, next = append(read, chunks...), after
		if gap, ok := follower.Gap(); ok {
			followed = append(followed, gap)
		}
		if stream, n := follower.Run(); n > 0 {
			at, p := follower.At().Stdout, make([]byte, n)
			if err := follower.Read(p); err == nil {
				followed = append(followed, banger.LogChunk{Stream: stream, Offset: at, Data: p})
			}
		}
	}
	must(t, <-written)
	t.Logf("missed by a reader: %d bytes, by a follower: %d",
		checkCovers(t, read, banger.StreamStdout, 0, total), checkCovers(t, followed, banger.StreamStdout, 0, total))
}
