//go:build !unit

package sessiondir_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/sessiondir"
)

// pieces of output are as a shim reads them, in time since the last.
type piece struct {
	after  time.Duration
	stream banger.Stream
	bytes  int
}

// outputs are kinds of output, of about as many bytes.
func outputs(total int) map[string][]piece {
	const o, e = banger.StreamStdout, banger.StreamStderr
	random := rand.New(rand.NewPCG(5, 6))
	made := map[string][]piece{}
	add := func(name string, pieces func() []piece) {
		for n := 0; n < total; {
			for _, p := range pieces() {
				made[name] = append(made[name], p)
				n += p.bytes
			}
		}
	}
	add("bulk, as of yes", func() []piece { return []piece{{200 * time.Microsecond, o, 64 << 10}} })
	add("bulk through a slow pipe", func() []piece { return []piece{{time.Millisecond, o, 4 << 10}} })
	add("a build: a command line, then a pause; warnings", func() []piece {
		list := []piece{{time.Duration(20+random.IntN(400)) * time.Millisecond, o, 300 + random.IntN(2500)}}
		if random.IntN(20) == 0 {
			list = append(list, piece{5 * time.Millisecond, e, 500 + random.IntN(2000)})
		}
		return list
	})
	add("a quiet build (make -s): lines in bursts", func() []piece {
		list := []piece{{time.Duration(random.IntN(2000)) * time.Millisecond, o, 60 + random.IntN(60)}}
		for range random.IntN(60) {
			list = append(list, piece{time.Millisecond, o, 60 + random.IntN(60)})
		}
		return list
	})
	add("a server: lines of 100 bytes, 10 a second", func() []piece { return []piece{{100 * time.Millisecond, o, 100}} })
	add("a server: lines of 100 bytes, 1000 a second", func() []piece { return []piece{{time.Millisecond, o, 100}} })
	add("JSON lines of 2 KiB, 5 a second", func() []piece { return []piece{{200 * time.Millisecond, o, 2 << 10}} })
	add("both streams in turn, 60 bytes each", func() []piece {
		return []piece{{time.Millisecond, o, 60}, {time.Millisecond, e, 60}}
	})
	return made
}

// The journal takes less than a hundredth of output that comes in bulk, in bursts, or in
// pieces of some size. A short line with a time of its own costs 7 bytes, or 5 at speed.
func TestWriter_TheJournalIsSmallBesideTheOutput(t *testing.T) {
	most := map[string]float64{ // per cent
		"a server: lines of 100 bytes, 10 a second": 7.5,
		"both streams in turn, 60 bytes each":       11,
	}
	zeros := make([]byte, 64<<10)
	var table strings.Builder
	for name, pieces := range outputs(2 << 20) {
		dir := t.TempDir()
		w, err := sessiondir.OpenWriter(dir, false, 0)
		must(t, err)
		now, synced, total := epoch, epoch, 0
		for _, p := range pieces {
			if now = now.Add(p.after); now.Sub(synced) >= time.Second { // as a shim does
				must(t, w.Sync(now))
				synced = now
			}
			mustAppend(t, w, p.stream, zeros[:p.bytes], now)
			total += p.bytes
		}
		must(t, w.Close())
		info, err := os.Stat(filepath.Join(dir, sessiondir.JournalName))
		must(t, err)
		percent := float64(info.Size()) * 100 / float64(total)
		fmt.Fprintf(&table, "%-48s %8d B of journal for %8d: %6.3f %%\n", name, info.Size(), total, percent)
		limit, ok := most[name]
		if !ok {
			limit = 1
		}
		if percent >= limit {
			t.Errorf("%s: %.3f %%", name, percent)
		}
	}
	t.Logf("\n%s", &table)
}
