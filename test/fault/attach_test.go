package fault

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"banger/test/fault/workload"
	"banger/test/wait"
)

// full reports whether the tests run at full size, as by make fault.
func full() bool { return os.Getenv("BANGER_FAULT_FULL") != "" }

func sized(reduced, atFull int) int {
	if full() {
		return atFull
	}
	return reduced
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
	tearCable(onLoopback(t), int64(sized(12<<20, 1<<30)), sized(20, 1000))
}

func tearCable(r *rig, size int64, cuts int) {
	t := r.t
	x := r.work("lines", "lines", strconv.FormatInt(size, 10))
	c := newReader(r, x)
	c.start()
	r.tear(c, size, cuts)
	out, errs := sha256.New(), sha256.New()
	if err := workload.WriteLines(size, out, errs); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]hash.Hash{stdoutFile: out, stderrFile: errs} {
		if !bytes.Equal(sum(t, filepath.Join(c.dir, file)), want.Sum(nil)) {
			t.Errorf("%s of the client is not what the session wrote", file)
		}
	}
}

// tear inflicts faults at random moments of the transfer of size bytes to a client,
// and returns when the client has seen the exit.
func (r *rig) tear(c *reader, size int64, cuts int) {
	faults := r.faults()
	faults["the client is killed"] = c.kill
	names := sortedKeys(faults)
	counts, late := map[string]int{}, 0
	for n := range cuts {
		moment := size*int64(n)/int64(cuts) + rand.N(size/int64(cuts))
		wait.For(r.t, fmt.Sprintf("byte %d", moment), func() bool {
			return c.size(stdoutFile)+c.size(stderrFile) >= moment || c.size(exitFile) > 0
		})
		if c.size(exitFile) > 0 {
			late++
		}
		name := names[rand.N(len(names))]
		counts[name]++
		faults[name]()
	}
	c.wait()
	if cuts-late < 2 { // how many come in time is a matter of the machine's
		r.t.Errorf("%d of %d faults came after the end", late, cuts)
	}
	r.t.Logf("%d bytes through %d faults, %d of them after the end: %v", size, cuts, late, counts)
}

// Numbered lines and one end-of-file are fed through the same faults, with lost
// answers: the command reads each line once and in order, and then the end.
func TestFault_TornKeyboardLosesAndRepeatsNoLine(t *testing.T) {
	tearKeyboard(onLoopback(t), 10_000, sized(30, 450))
}

func tearKeyboard(r *rig, lines, cuts int) {
	t := r.t
	c := newReader(r, r.work("sip", "sip"))
	var input bytes.Buffer
	for n := range lines { // long ones: few are on the way when a fault comes
		fmt.Fprintf(&input, "line %d of what is typed %s\n", n, bytes.Repeat([]byte{'.'}, rand.N(2000)))
	}
	if err := os.WriteFile(filepath.Join(c.dir, inputFile), input.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c.start()
	r.tear(c, int64(input.Len()), cuts)
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
