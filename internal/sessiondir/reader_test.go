package sessiondir_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/sessiondir"
)

// mountTmpfs returns a file system of its own, which the test may fill up.
func mountTmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("cannot mount a small file system (this test needs root): %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// spread is a session whose journal has many blocks.
func spread(t *testing.T) (dir, stdout, stderr string) {
	var writes []write
	var out, err strings.Builder
	for i := range 4000 {
		at := time.Duration(i) * time.Second
		writes = append(writes, write{banger.StreamStdout, fmt.Sprintf("out %d\n", i), at}, write{banger.StreamStderr, fmt.Sprintf("err %d\n", i), at})
		fmt.Fprintf(&out, "out %d\n", i)
		fmt.Fprintf(&err, "err %d\n", i)
	}
	return session(t, writes...), out.String(), err.String()
}

// TestReader_LosesNoByteWhateverTheJournalSays damages the journal in the ways a
// crash or a bad disk does.
func TestReader_LosesNoByteWhateverTheJournalSays(t *testing.T) {
	dir, stdout, stderr := spread(t)
	journal, err := os.ReadFile(filepath.Join(dir, sessiondir.JournalName))
	if err != nil {
		t.Fatal(err)
	}
	blocks := len(journal) / 4096
	if blocks < 10 {
		t.Fatalf("the journal has only %d blocks", blocks)
	}
	for name, damage := range map[string]func(j []byte) []byte{
		"none":                     func(j []byte) []byte { return j },
		"no journal":               func([]byte) []byte { return nil },
		"torn in a record":         func(j []byte) []byte { return j[:5*4096+2001] },
		"torn in a header":         func(j []byte) []byte { return j[:5*4096+20] },
		"zeros for the last block": func(j []byte) []byte { clear(j[(blocks-1)*4096:]); return j },
		"a broken header":          func(j []byte) []byte { j[3*4096+17] ^= 1; return j },
		"the first block is gone":  func(j []byte) []byte { clear(j[:4096]); return j },
		"a long run of zeros":      func(j []byte) []byte { clear(j[2*4096 : 2*4096+9*4096]); return j },
		"a record of zeros":        func(j []byte) []byte { clear(j[4096+100 : 4096+110]); return j },
		"lengths that are too big": func(j []byte) []byte {
			for i := 4096 + 100; i < 4096+200; i++ {
				j[i] = 0x7f
			}
			return j
		},
		"blocks in the wrong order": func(j []byte) []byte {
			return slices.Concat(j[4096:2*4096], j[:4096], j[2*4096:])
		},
		"zeros after the end": func(j []byte) []byte { return append(j, make([]byte, 1<<20)...) },
	} {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{
				sessiondir.StdoutName:  {Data: []byte(stdout)},
				sessiondir.StderrName:  {Data: []byte(stderr)},
				sessiondir.JournalName: {Data: damage(slices.Clone(journal))},
			}
			r := sessiondir.NewReader(fsys)
			chunks := readAll(t, r, banger.StreamBoth, banger.LogCursor{}, 1<<20)
			if text(chunks, banger.StreamStdout) != stdout || text(chunks, banger.StreamStderr) != stderr {
				t.Error("bytes are lost or repeated")
			}
			for _, lines := range []int{0, 1, 3, 2000, 8000, 9000} {
				start, err := r.Tail(t.Context(), banger.StreamBoth, lines)
				if err != nil {
					t.Fatal(err)
				}
				got := strings.Count(text(readAll(t, r, banger.StreamBoth, start, 1<<20), banger.StreamBoth), "\n")
				if want := min(lines, 8000); got != want {
					t.Errorf("a tail of %d lines has %d", lines, got)
				}
			}
		})
	}
}

func TestReader_BytesBeyondTheJournalHaveNoTime(t *testing.T) {
	dir := session(t, write{banger.StreamStdout, "known\n", 0})
	f, err := os.OpenFile(filepath.Join(dir, sessiondir.StdoutName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = f.WriteString("unknown\n")
	must(t, err)
	live := sessiondir.NewLiveReader(os.DirFS(dir))
	if got := text(readAll(t, live, banger.StreamBoth, banger.LogCursor{}, 100), banger.StreamBoth); got != "known\n" {
		t.Errorf("a live reader reads %q", got)
	}
	if start, err := live.Tail(t.Context(), banger.StreamStdout, 1); start.Stdout != 0 || err != nil {
		t.Errorf("a live reader's last line begins at %d, %v", start.Stdout, err)
	}
	for _, from := range []int64{6, 8, 14} { // what another reader has seen is there
		if chunks, _, atEnd, err := live.Page(banger.StreamStdout, banger.LogCursor{Stdout: from}, 100); len(chunks) != 0 || !atEnd || err != nil {
			t.Errorf("a live reader reads %v, %v, %v at %d", chunks, atEnd, err, from)
		}
	}
	chunks := readAll(t, sessiondir.NewReader(os.DirFS(dir)), banger.StreamBoth, banger.LogCursor{}, 100)
	if len(chunks) != 2 || chunks[0].Time.IsZero() || !chunks[1].Time.IsZero() || string(chunks[1].Data) != "unknown\n" {
		t.Errorf("chunks are %v", chunks)
	}
}

func TestReader_SkipsKindsOfRecordsThatItDoesNotKnow(t *testing.T) {
	dir := session(t, write{banger.StreamStdout, "one\n", 0})
	journal, err := os.ReadFile(filepath.Join(dir, sessiondir.JournalName))
	if err != nil {
		t.Fatal(err)
	}
	journal = append(journal, 99, 5, 3, 1, 2, 1) // three bytes that look like records
	journal = append(journal, 2, 10, 4)          // stderr, 15 µs later in all, 4 bytes
	chunks := readAll(t, sessiondir.NewReader(fstest.MapFS{
		sessiondir.StdoutName:  {Data: []byte("one\n")},
		sessiondir.StderrName:  {Data: []byte("two\n")},
		sessiondir.JournalName: {Data: journal},
	}), banger.StreamBoth, banger.LogCursor{}, 100)
	if len(chunks) != 2 || !chunks[1].Time.Equal(epoch.Add(15*time.Microsecond)) {
		t.Errorf("the chunks are %v", chunks)
	}
}

func TestReader_FollowsALogThatGrows(t *testing.T) {
	dir := t.TempDir()
	w, err := sessiondir.OpenWriter(dir, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r := sessiondir.NewReader(os.DirFS(dir))
	var at banger.LogCursor
	for i := range 1000 {
		line := fmt.Sprintf("line %d\n", i)
		mustAppend(t, w, banger.StreamStdout, []byte(line), epoch.Add(time.Duration(i)*time.Millisecond))
		chunks, next, atEnd, err := r.Page(banger.StreamBoth, at, 100)
		if err != nil || !atEnd || text(chunks, banger.StreamBoth) != line {
			t.Fatalf("page %d is %q, %v, %v", i, text(chunks, banger.StreamBoth), atEnd, err)
		}
		if chunks[0].Time.IsZero() {
			t.Fatalf("line %d has no time", i)
		}
		at = next
	}
}

func TestReader_PositionBeyondTheEndIsRefusedWithTheSize(t *testing.T) {
	r := sessiondir.NewReader(os.DirFS(session(t, write{banger.StreamStdout, "12345", 0})))
	for _, from := range []int64{-1, 6, 1 << 62} {
		_, _, _, err := r.Page(banger.StreamStdout, banger.LogCursor{Stdout: from, Stderr: 99}, 10)
		if banger.CodeOf(err) != banger.CodeInvalid || !strings.Contains(err.Error(), "5 bytes") {
			t.Errorf("at %d: %v", from, err)
		}
	}
	chunks, next, atEnd, err := r.Page(banger.StreamStdout, banger.LogCursor{Stdout: 5, Stderr: 99}, 10)
	if len(chunks) != 0 || next != (banger.LogCursor{Stdout: 5, Stderr: 99}) || !atEnd || err != nil {
		t.Errorf("at the end: %v %v %v %v", chunks, next, atEnd, err)
	}
	for _, stream := range []banger.Stream{"", "stdin"} {
		if _, _, _, err := r.Page(stream, banger.LogCursor{}, 10); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("stream %q: %v", stream, err)
		}
	}
}

func TestTotals_CountStdinOverBlocks(t *testing.T) {
	dir := t.TempDir()
	w, err := sessiondir.OpenWriter(dir, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r := sessiondir.NewReader(os.DirFS(dir))
	expect := func(want sessiondir.Totals) {
		t.Helper()
		if got, err := r.Totals(); got != want || err != nil {
			t.Errorf("totals are %+v, %v; want %+v", got, err, want)
		}
	}
	expect(sessiondir.Totals{})
	for i := range int64(2000) {
		must(t, w.AcceptStdin(100, epoch.Add(time.Duration(i)*time.Second)))
	}
	expect(sessiondir.Totals{Stdin: 200_000})
	must(t, w.CloseStdin(epoch.Add(time.Hour)))
	expect(sessiondir.Totals{Stdin: 200_000, StdinEOF: true})
	for i := range 2000 {
		mustAppend(t, w, []banger.Stream{banger.StreamStdout, banger.StreamStderr}[i%2], []byte("x\n"), epoch.Add(time.Hour))
	}
	expect(sessiondir.Totals{Stdin: 200_000, StdinEOF: true, Stdout: 2000, Stderr: 2000})
}

func TestReader_SessionThatNeverRanHasNoOutput(t *testing.T) {
	chunks, _, atEnd, err := sessiondir.NewReader(fstest.MapFS{}).Page(banger.StreamBoth, banger.LogCursor{}, 10)
	if len(chunks) != 0 || !atEnd || err != nil {
		t.Errorf("got %v %v %v", chunks, atEnd, err)
	}
}

// seekOnlyFS hides the io.ReaderAt of its files, as a network file system does.
type seekOnlyFS struct{ fs.FS }

type seekOnlyFile struct {
	fs.File
	io.Seeker
}

func (s seekOnlyFS) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return seekOnlyFile{f, f.(io.Seeker)}, nil
}

func TestReader_WorksOverFilesThatOnlySeek(t *testing.T) {
	dir, stdout, stderr := spread(t)
	chunks := readAll(t, sessiondir.NewReader(seekOnlyFS{os.DirFS(dir)}), banger.StreamBoth, banger.LogCursor{}, 1<<20)
	if text(chunks, banger.StreamStdout) != stdout || text(chunks, banger.StreamStderr) != stderr {
		t.Error("bytes are lost or repeated")
	}
}

func TestReader_NamedPipeForALogDoesNotBlock(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, sessiondir.StdoutName), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, _, err := sessiondir.NewReader(os.DirFS(dir)).Page(banger.StreamBoth, banger.LogCursor{}, 10)
	if banger.CodeOf(err) != banger.CodeCorrupt {
		t.Errorf("err = %v", err)
	}
}

func TestTail_CountsLines(t *testing.T) {
	const o, e = banger.StreamStdout, banger.StreamStderr
	dir := session(t,
		write{o, "o1\no2\n", 0},
		write{e, "e1\n", 1 * time.Second},
		write{o, "o3 begins", 2 * time.Second},
		write{e, "e2\n", 3 * time.Second},
		write{o, " and ends\no4", 4 * time.Second})
	r := sessiondir.NewReader(os.DirFS(dir))
	for _, test := range []struct {
		stream    banger.Stream
		lines     int
		out, errs string
	}{
		{o, 0, "", ""},
		{o, 1, "o4", ""},
		{o, 2, "o3 begins and ends\no4", ""},
		{o, 9, "o1\no2\no3 begins and ends\no4", ""},
		{e, 1, "", "e2\n"},
		{o, -1, "o1\no2\no3 begins and ends\no4", ""},
		{banger.StreamBoth, 0, "", ""},
		{banger.StreamBoth, 1, "o4", ""},
		{banger.StreamBoth, 2, "o3 begins and ends\no4", ""},
		{banger.StreamBoth, 3, "o3 begins and ends\no4", "e2\n"},
		{banger.StreamBoth, 4, "o3 begins and ends\no4", "e1\ne2\n"},
		{banger.StreamBoth, 5, "o2\no3 begins and ends\no4", "e1\ne2\n"},
		{banger.StreamBoth, 6, "o1\no2\no3 begins and ends\no4", "e1\ne2\n"},
		{banger.StreamBoth, 7, "o1\no2\no3 begins and ends\no4", "e1\ne2\n"},
	} {
		start, err := r.Tail(t.Context(), test.stream, test.lines)
		if err != nil {
			t.Fatal(err)
		}
		chunks := readAll(t, r, test.stream, start, 1<<20)
		if got := text(chunks, o); got != test.out {
			t.Errorf("last %d lines of %s: stdout is %q, want %q", test.lines, test.stream, got, test.out)
		}
		if got := text(chunks, e); got != test.errs {
			t.Errorf("last %d lines of %s: stderr is %q, want %q", test.lines, test.stream, got, test.errs)
		}
	}
}

// countingFS counts the bytes that are read of each file.
type countingFS struct {
	fs.FS
	read map[string]int64
}

type countingFile struct {
	fs.File
	name string
	fs   countingFS
}

func (c countingFS) Open(name string) (fs.File, error) {
	f, err := c.FS.Open(name)
	return &countingFile{f, name, c}, err
}

func (f *countingFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.(io.ReaderAt).ReadAt(p, off)
	f.fs.read[f.name] += int64(n)
	return n, err
}

func TestTail_ReadsNoMoreThanItLeavesToPrintAndOneBlock(t *testing.T) {
	dir, stdout, stderr := spread(t)
	for _, lines := range []int{0, 1, 10, 200, 5000} {
		for _, stream := range []banger.Stream{banger.StreamStdout, banger.StreamStderr, banger.StreamBoth} {
			fsys := countingFS{os.DirFS(dir), map[string]int64{}}
			start, err := sessiondir.NewReader(fsys).Tail(t.Context(), stream, lines)
			if err != nil {
				t.Fatal(err)
			}
			printed := int64(len(stdout)) - start.Stdout
			if stream == banger.StreamStderr {
				printed = 0
			}
			if got := fsys.read[sessiondir.StdoutName]; got > printed+4096 {
				t.Errorf("%d lines of %s: read %d bytes of stdout to print %d", lines, stream, got, printed)
			}
			printed = int64(len(stderr)) - start.Stderr
			if stream == banger.StreamStdout {
				printed = 0
			}
			if got := fsys.read[sessiondir.StderrName]; got > printed+4096 {
				t.Errorf("%d lines of %s: read %d bytes of stderr to print %d", lines, stream, got, printed)
			}
		}
	}
}

// FuzzJournal gives the reader any journal at all beside known logs.
func FuzzJournal(f *testing.F) {
	dir := f.TempDir()
	w, err := sessiondir.OpenWriter(dir, false, 0)
	if err != nil {
		f.Fatal(err)
	}
	for i := range 1500 {
		mustAppend(f, w, []banger.Stream{banger.StreamStdout, banger.StreamStderr}[i%2], []byte("line\n"), epoch.Add(time.Duration(i)*time.Second))
	}
	w.Close()
	journal, err := os.ReadFile(filepath.Join(dir, sessiondir.JournalName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(journal, uint16(100), uint16(7), uint8(3))
	f.Add(journal[:4096], uint16(0), uint16(3000), uint8(0))
	f.Add(journal[:2000], uint16(3750), uint16(3000), uint8(200))
	f.Add([]byte{}, uint16(1), uint16(1), uint8(1))
	f.Add(limitedJournal(f), uint16(0), uint16(0), uint8(9))
	for _, journal := range lossyJournals() {
		f.Add(journal, uint16(0), uint16(20), uint8(5))
	}
	log := bytes.Repeat([]byte("line\n"), 750)
	f.Fuzz(func(t *testing.T, journal []byte, out, errs uint16, lines uint8) {
		r := sessiondir.NewReader(fstest.MapFS{
			sessiondir.StdoutName:  {Data: log},
			sessiondir.StderrName:  {Data: log},
			sessiondir.JournalName: {Data: journal},
		})
		from := banger.LogCursor{Stdout: int64(out) % 3751, Stderr: int64(errs) % 3751}
		chunks := readAll(t, r, banger.StreamBoth, from, 500)
		at := from
		for _, c := range chunks {
			p := &at.Stdout
			if c.Stream == banger.StreamStderr {
				p = &at.Stderr
			}
			if c.Offset != *p || !bytes.HasPrefix(log[min(*p, int64(len(log))):], c.Data) {
				t.Fatalf("chunk at %d of %s does not follow %d", c.Offset, c.Stream, *p)
			}
			*p += int64(len(c.Data)) + c.Gap
		}
		if at.Stdout < 3750 || at.Stderr < 3750 { // what is lost can lie behind the logs
			t.Fatalf("read up to %v", at)
		}
		start, err := r.Tail(t.Context(), banger.StreamBoth, int(lines))
		if err != nil {
			t.Fatal(err)
		}
		all, rest := readAll(t, r, banger.StreamBoth, banger.LogCursor{}, 500), readAll(t, r, banger.StreamBoth, start, 500)
		holes := false // which may begin in the middle of a line
		for i, c := range all {
			holes = holes || c.Gap > 0 && (c.Offset > 0 && i > 0 || c.Gap%5 != 0)
		}
		got := strings.Count(text(rest, banger.StreamBoth), "\n")
		if whole := strings.Count(text(all, banger.StreamBoth), "\n"); !holes && got != int(lines) && got != whole {
			t.Fatalf("a tail of %d lines has %d of %d", lines, got, whole)
		}
		for _, at := range []time.Time{epoch, epoch.Add(time.Duration(out) * time.Second), {}} {
			since := mustSince(t, r, banger.StreamBoth, at)
			readAll(t, r, banger.StreamBoth, since, 500) // it is a position that there is
		}
	})
}

// FuzzReader gives the reader any directory at all.
func FuzzReader(f *testing.F) {
	f.Add([]byte("{}"), []byte("{}"), []byte("out"), []byte("err"), []byte("bngj"))
	f.Add([]byte(`{"id":"abcdefghijklmnopqrst","status":"running"}`), []byte(`{"id":"abcdefghijklmnopqrst"}`), []byte(""), []byte("\n\n"), make([]byte, 5000))
	f.Fuzz(func(t *testing.T, state, spec, out, errs, journal []byte) {
		fsys := fstest.MapFS{
			sessiondir.StateName:   {Data: state},
			sessiondir.SpecName:    {Data: spec},
			sessiondir.StdoutName:  {Data: out},
			sessiondir.StderrName:  {Data: errs},
			sessiondir.JournalName: {Data: journal},
		}
		if s, err := sessiondir.ReadState(fsys); err == nil && !banger.ValidID(string(s.ID)) {
			t.Errorf("took id %q", s.ID)
		}
		_, _ = sessiondir.ReadSpec(fsys)
		r := sessiondir.NewReader(fsys)
		chunks := readAll(t, r, banger.StreamBoth, banger.LogCursor{}, 100)
		for stream, log := range map[banger.Stream][]byte{banger.StreamStdout: out, banger.StreamStderr: errs} {
			// What a crash may have left as zeros is not output.
			got, kept := text(chunks, stream), string(log[gapOf(chunks, stream):])
			if rest, ok := strings.CutPrefix(kept, got); !ok || strings.Trim(rest, "\x00") != "" {
				t.Errorf("bytes of %s are lost or repeated", stream)
			}
		}
		if _, err := r.Tail(t.Context(), banger.StreamBoth, 3); err != nil {
			t.Error(err)
		}
		live := readAll(t, sessiondir.NewLiveReader(fsys), banger.StreamBoth, banger.LogCursor{}, 100)
		for stream, log := range map[banger.Stream][]byte{banger.StreamStdout: out, banger.StreamStderr: errs} {
			if !strings.HasPrefix(string(log[gapOf(live, stream):]), text(live, stream)) {
				t.Errorf("a live reader reads other bytes of %s", stream)
			}
		}
		if totals, err := r.Totals(); totals.Stdin < 0 || err != nil {
			t.Errorf("totals are %+v, %v", totals, err)
		}
	})
}
