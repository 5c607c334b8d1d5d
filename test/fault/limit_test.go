package fault

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"banger"
	"banger/internal/sessiondir"
	"banger/sessionstream"
	"banger/test/fault/workload"
	"banger/test/wait"
)

// A session that writes much more than its logs may keep, to a viewer that cannot
// follow and whose link breaks: what it gets and what it is told to have missed is,
// byte for byte, what the session wrote; and its logs never take more of the disk.
func TestFault_DeliveredAndDeclaredGapsAreWhatWasProduced(t *testing.T) {
	const limit = 1 << 20
	size := int64(sized(24<<20, 1<<30))
	l := newLoopback(t)
	r := &rig{l, t}
	var out, errs bytes.Buffer
	if err := workload.WriteLines(size, &out, &errs); err != nil {
		t.Fatal(err)
	}
	x := r.launch("lines", banger.Launch{
		Command: banger.ByteString(r.program()), Args: banger.ByteStrings([]string{"lines", strconv.FormatInt(size, 10)}),
		StdinMode: banger.StdinClosed, LogLimit: limit,
	})
	produced := map[banger.Stream][]byte{banger.StreamStdout: out.Bytes(), banger.StreamStderr: errs.Bytes()}
	faults := []func(){r.cut, r.killControl, func() {}}
	stdout := filepath.Join(l.guests.SessionsDir(x.VMID), string(x.ID), sessiondir.StdoutName)
	live := r.watch(x, produced, size/20, func() {
		faults[rand.IntN(len(faults))]()
		before := fileSize(t, stdout)
		wait.For(t, "the session to write more than it may keep", func() bool {
			return fileSize(t, stdout) >= min(before+2*limit, int64(out.Len()))
		})
		for _, name := range []string{sessiondir.StdoutName, sessiondir.StderrName} {
			if n := diskBytes(t, filepath.Join(l.guests.SessionsDir(x.VMID), string(x.ID), name)); n > limit+limit/8 {
				t.Errorf("%s takes %d bytes of the disk", name, n)
			}
		}
	})
	late := r.watch(x, produced, size, func() {})
	kept := &account{t: t, produced: produced}
	_, err := r.client().ReadLogs(t.Context(), "v", string(x.ID), banger.LogRequest{Cursor: &banger.LogCursor{}}, func(c banger.LogChunk) error {
		kept.take(c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	kept.check()
	t.Logf("of %d bytes a viewer missed %d, and %d are not kept", size, live.missed, kept.missed)
	if live.missed == 0 || kept.missed < size-2*limit || late.missed != kept.missed {
		t.Errorf("there is not much of a gap, or another one for who comes late: %d", late.missed)
	}
}

// watch attaches to a session from its first byte to its end, with something that
// happens after a number of bytes each time.
func (r *rig) watch(x banger.Session, produced map[banger.Stream][]byte, every int64, happens func()) *account {
	r.t.Helper()
	a := r.attach(x, sessionstream.Attach{Role: sessionstream.RoleViewer, From: &banger.LogCursor{}})
	defer a.Close()
	seen := &account{t: r.t, produced: produced}
	for next := every; ; {
		m, err := a.Receive()
		if errors.Is(err, io.EOF) {
			seen.check()
			return seen
		}
		if err != nil {
			r.t.Fatal(err)
		}
		if gap, ok := m.Control.(*sessionstream.Gap); ok {
			seen.take(banger.LogChunk{Stream: gap.Stream, Offset: gap.From, Gap: gap.To - gap.From, Reason: gap.Reason})
		} else if m.Control == nil {
			seen.take(banger.LogChunk{Stream: m.Stream, Offset: m.Offset, Data: m.Data})
		}
		if seen.accounted() >= next {
			next = seen.accounted() + every
			happens()
		}
	}
}

// account compares what is delivered of a session's output with what it produced.
type account struct {
	t        *testing.T
	produced map[banger.Stream][]byte
	reasons  []string // that a gap may have; default: the log limit
	at       banger.LogCursor
	missed   int64
}

func (a *account) take(c banger.LogChunk) {
	a.t.Helper()
	at := a.at.Stdout
	if c.Stream == banger.StreamStderr {
		at = a.at.Stderr
	}
	produced := a.produced[c.Stream]
	end := at + int64(len(c.Data)) + c.Gap
	if c.Offset != at || end > int64(len(produced)) || len(c.Data) > 0 && !bytes.Equal(c.Data, produced[at:end]) {
		a.t.Fatalf("%d bytes of %s at %d with a gap of %d are not what was produced at %d", len(c.Data), c.Stream, c.Offset, c.Gap, at)
	}
	if c.Gap > 0 && c.Reason != banger.GapLogLimit && !slices.Contains(a.reasons, c.Reason) {
		a.t.Errorf("the reason of a gap is %q", c.Reason)
	}
	a.at = a.at.Advance(c)
	a.missed += c.Gap
}

func (a *account) accounted() int64 { return a.at.Stdout + a.at.Stderr }

func (a *account) check() {
	a.t.Helper()
	out, errs := len(a.produced[banger.StreamStdout]), len(a.produced[banger.StreamStderr])
	if a.at != (banger.LogCursor{Stdout: int64(out), Stderr: int64(errs)}) {
		a.t.Errorf("%+v is accounted for, of %d and %d bytes", a.at, out, errs)
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// diskBytes is how much of a disk a file takes.
func diskBytes(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}
