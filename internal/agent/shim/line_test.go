//go:build !unit

package shim

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel's own terminal says what it holds of a line: all that fits is read, to the
// byte, and not one more.
func TestLine_IsWhatTheKernelsTerminalHolds(t *testing.T) {
	cases := 300
	if os.Getenv("BANGER_FAULT_FULL") != "" {
		cases = 20_000
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	full := 0
	for range cases {
		mode, typed := randomLine(random)
		var l line
		n := l.fits(&mode, typed)
		l.follow(&mode, typed[:n])
		if l.literal {
			typed = append(typed[:n:n], 'x')
			n++
			l.follow(&mode, typed[n-1:n])
		}
		if got := readLine(t, mode, typed[:n]); !bytes.Equal(got, l.held) {
			same := 0
			for same < min(len(got), len(l.held)) && got[same] == l.held[same] {
				same++
			}
			t.Fatalf("seed %d, flags %#x %#x, %d bytes typed: the terminal has %d, not %d, and from %d on %.40q, not %.40q",
				seed, mode.Iflag, mode.Lflag, n, len(got), len(l.held), same, got[same:], l.held[same:])
		}
		if n == len(typed) {
			continue
		}
		full++
		if got := readLine(t, mode, typed[:n+1]); len(got) != maxLine {
			t.Fatalf("seed %d, flags %#x %#x: a byte is refused behind %d that would have been held", seed, mode.Iflag, mode.Lflag, len(got))
		}
	}
	if full < cases/10 {
		t.Errorf("only %d of %d lines were too long", full, cases)
	}
}

// lineEnd is VEOL in these tests: no flag of input changes it.
const lineEnd = 0x1e

// randomLine returns how a terminal in line mode is set, and what is typed into it: no
// end of a line, but all that edits one.
func randomLine(random *rand.Rand) (unix.Termios, []byte) {
	mode := unix.Termios{Cflag: unix.CS8 | unix.CREAD | unix.B38400, Lflag: unix.ICANON}
	for _, flag := range []uint32{unix.ISTRIP, unix.IUCLC, unix.IXON, unix.IGNCR, unix.INLCR, unix.IUTF8} {
		if random.IntN(3) == 0 {
			mode.Iflag |= flag
		}
	}
	for _, flag := range []uint32{unix.ISIG, unix.IEXTEN, unix.NOFLSH, unix.ECHO, unix.ECHOE, unix.ECHOK, unix.ECHOKE} {
		if random.IntN(2) == 0 {
			mode.Lflag |= flag
		}
	}
	editing := []byte{unix.VERASE: 0x7f, unix.VWERASE: 0x17, unix.VKILL: 0x15, unix.VLNEXT: 0x16, unix.VREPRINT: 0x12,
		unix.VINTR: 0x03, unix.VQUIT: 0x1c, unix.VSUSP: 0x1a, unix.VSTART: 0x11, unix.VSTOP: 0x13}
	var keys []byte
	for char, key := range editing {
		if mode.Cc[char] = key; key != 0 {
			keys = append(keys, key)
		}
	}
	mode.Cc[unix.VEOL] = lineEnd
	text := []string{"word", "_", " ", "A1", "é", "漢字", "\xff", "\x01", "...", "ÀÿǄ"}
	typed := bytes.Repeat([]byte(text[random.IntN(len(text))]), random.IntN(1500))
	for range random.IntN(1500) {
		if random.IntN(60) == 0 {
			typed = append(typed, keys[random.IntN(len(keys))])
		} else {
			typed = append(typed, text[random.IntN(len(text))]...)
		}
	}
	return mode, typed
}

// readLine types into a new terminal, ends the line, and returns it as a program reads it.
func readLine(t *testing.T, mode unix.Termios, typed []byte) []byte {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &mode); err != nil {
		t.Fatal(err)
	}
	echoed := make(chan struct{})
	go func() { // until the other end is closed
		defer close(echoed)
		_, _ = io.Copy(io.Discard, master)
	}()
	if _, err := master.Write(append(bytes.Clone(typed), lineEnd)); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 2*maxLine)
	n, err := slave.Read(line)
	if err != nil || n == 0 || line[n-1] != lineEnd {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	slave.Close()
	<-echoed
	return line[:n-1]
}
