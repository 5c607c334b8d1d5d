package workload

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// scribble is the command of a session that writes a number of bytes at once and again for
// each line that it reads, and ends with a status.
func scribble(in io.Reader, size, status string) error {
	n, err := strconv.ParseInt(size, 10, 64)
	code, codeErr := strconv.Atoi(status)
	if err := errors.Join(err, codeErr); err != nil {
		return err
	}
	round := 0
	for lines := bufio.NewScanner(in); ; round++ {
		if err := WriteScribbles(round, n, os.Stdout, os.Stderr); err != nil {
			return err
		}
		if !lines.Scan() {
			os.Exit(code)
		}
	}
}

// WriteScribbles writes what the command "scribbler" does in one round: numbered lines, and
// a few on stderr.
func WriteScribbles(round int, size int64, stdout, stderr io.Writer) error {
	const line, burst = 64, 1 << 10
	out := bufio.NewWriterSize(stdout, line*burst)
	for n := int64(0); n < size/line; n++ {
		fmt.Fprintf(out, "%8d %54d\n", round, n)
		if n%burst == burst-1 {
			fmt.Fprintf(stderr, "round %d: %d\n", round, n)
		}
	}
	fmt.Fprintf(stderr, "end of round %d\n", round)
	return out.Flush()
}
