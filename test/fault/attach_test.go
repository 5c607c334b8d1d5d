package fault

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// full reports whether the tests run at full size, as by make fault.
func full() bool { return os.Getenv("BANGER_FAULT_FULL") != "" }

func sized(reduced, atFull int) int {
	if full() {
		return atFull
	}
	return reduced
}

// writeLines writes numbered lines to both streams in bursts of any length, size
// bytes in all: always the same.
func writeLines(size int64, stdout, stderr io.Writer) error {
	random := rand.New(rand.NewPCG(1, 2))
	var written int64
	for n := 0; written < size; {
		w, name := stdout, "out"
		if random.IntN(3) == 0 {
			w, name = stderr, "err"
		}
		for range 1 + random.IntN(200) {
			k, err := fmt.Fprintf(w, "%s line %d %.*s\n", name, n, random.IntN(60), "............................................................")
			if err != nil {
				return err
			}
			written += int64(k)
			n++
		}
	}
	return nil
}

// printLines is the command of a session that writes lines.
func printLines(size string) error {
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return err
	}
	out, errs := bufio.NewWriter(os.Stdout), bufio.NewWriterSize(os.Stderr, 100)
	if err := writeLines(n, out, errs); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return errs.Flush()
}

// sum is the digest of a file.
func sum(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return h.Sum(nil)
}

// One session writes to both streams while everything between it and its client is
// killed or cut at random moments, the client too: what the client has in the end
// is what the session wrote, each byte of each stream once and in order.
func TestFault_TornCableLosesAndRepeatsNoByte(t *testing.T) {
	size, cuts := int64(sized(24<<20, 1<<30)), sized(40, 1000)
	r := newRig(t)
	x := r.self("lines", "lines", strconv.FormatInt(size, 10))
	c := newReader(r, x)
	c.start()
	faults := r.faults()
	faults["the client is killed"] = c.kill
	names := sortedKeys(faults)
	counts := map[string]int{}
	for n := range cuts {
		// The moment is one of the transfer, wherever that stands after the last one.
		moment := size*int64(n)/int64(cuts) + rand.N(size/int64(cuts))
		waitFor(t, fmt.Sprintf("byte %d", moment), func() bool {
			return c.size(stdoutFile)+c.size(stderrFile) >= moment || c.size(exitFile) > 0
		})
		name := names[rand.N(len(names))]
		counts[name]++
		faults[name]()
	}
	c.wait()
	out, errs := sha256.New(), sha256.New()
	if err := writeLines(size, out, errs); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]hash.Hash{stdoutFile: out, stderrFile: errs} {
		if !bytes.Equal(sum(t, filepath.Join(c.dir, file)), want.Sum(nil)) {
			t.Errorf("%s of the client is not what the session wrote", file)
		}
	}
	t.Logf("%d bytes through %d faults: %v", size, cuts, counts)
}

// copyInSteps is the command of a session that copies lines from stdin to stdout,
// some for each byte that it can read from a fifo.
func copyInSteps(fifo string) error {
	gate, err := os.Open(fifo)
	if err != nil {
		return err
	}
	step, lines := make([]byte, 1), bufio.NewReaderSize(os.Stdin, 64)
	for {
		_, _ = gate.Read(step) // at its end there is no gate any more
		for range linesPerStep {
			line, err := lines.ReadString('\n')
			if _, err := io.WriteString(os.Stdout, line); err != nil {
				return err
			}
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
}

const linesPerStep = 20

// Numbered lines and one end-of-file are fed through the same faults, with lost
// answers: the command reads each line once and in order, and then the end.
func TestFault_TornKeyboardLosesAndRepeatsNoLine(t *testing.T) {
	lines, cuts := 10_000, sized(30, 450)
	r := newRig(t)
	fifo := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	x := r.self("steps", "steps", fifo)
	gate, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	c := newReader(r, x)
	var input bytes.Buffer
	for n := range lines {
		fmt.Fprintf(&input, "line %d of what is typed %.*s\n", n, n%40, "........................................")
	}
	if err := os.WriteFile(filepath.Join(c.dir, inputFile), input.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c.start()
	faults := r.faults()
	faults["the client is killed"] = c.kill
	names := sortedKeys(faults)
	steps := lines / linesPerStep
	for n := range steps {
		if n*cuts/steps != (n+1)*cuts/steps {
			faults[names[rand.N(len(names))]]()
		}
		if _, err := gate.Write([]byte{'x'}); err != nil {
			t.Fatal(err)
		}
		if n%50 == 0 { // so that the faults do not all come before the first line
			want := lineEnd(input.Bytes(), n*linesPerStep)
			waitFor(t, fmt.Sprintf("line %d", n*linesPerStep), func() bool { return c.size(stdoutFile) >= want })
		}
	}
	gate.Close()
	c.wait()
	got, err := os.ReadFile(filepath.Join(c.dir, stdoutFile))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, input.Bytes()) {
		t.Errorf("the command read %d bytes that are not the %d that were typed", len(got), input.Len())
	}
	exit, err := os.ReadFile(filepath.Join(c.dir, exitFile))
	if want := fmt.Sprintf("exited %d", input.Len()); err != nil || string(exit) != want {
		t.Errorf("the exit is %q, %v, want %q", exit, err, want)
	}
}

// lineEnd is the position behind the first n lines.
func lineEnd(text []byte, n int) int64 {
	at := 0
	for range n {
		at += bytes.IndexByte(text[at:], '\n') + 1
	}
	return int64(at)
}
