package workload

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// sip is the command of a session that copies stdin to stdout, at leisure: what its
// writers have sent waits on the way to it.
func sip() error {
	buffer := make([]byte, 16<<10)
	for {
		n, err := os.Stdin.Read(buffer)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			_, err = os.Stdout.Write(buffer[:n])
		}
		if err != nil {
			return err
		}
		time.Sleep(time.Millisecond) // this is what being slow means
	}
}

// pace is the command of a session that writes lines to both streams, and reads some
// of stdin between them, at leisure, so that its writers are always ahead of it. It
// keeps what it has read in a file, and ends with status 7.
func pace(lines, every, file string) error {
	count, err := strconv.Atoi(lines)
	if err != nil {
		return err
	}
	each, err := strconv.Atoi(every)
	if err != nil {
		return err
	}
	kept, err := os.Create(file)
	if err != nil {
		return err
	}
	defer kept.Close()
	out, errs := bufio.NewWriter(os.Stdout), bufio.NewWriter(os.Stderr)
	for n, reading := 0, true; n < count || reading; n++ {
		if n < count {
			WritePaced(out, errs, n)
		}
		if n < count && n%each != each-1 || !reading {
			continue
		}
		if err := errors.Join(out.Flush(), errs.Flush()); err != nil {
			return err
		}
		if _, err := io.CopyN(kept, os.Stdin, 4<<10); errors.Is(err, io.EOF) {
			reading = false
		} else if err != nil {
			return err
		}
		time.Sleep(time.Millisecond) // this is what being slow means
	}
	fmt.Fprintln(out, "last")
	if err := errors.Join(out.Flush(), errs.Flush()); err != nil {
		return err
	}
	os.Exit(7)
	return nil
}

// WritePaced writes what the command "pace" writes as line n to each stream.
func WritePaced(out, errs io.Writer, n int) {
	fmt.Fprintf(out, "out line %d\n", n)
	fmt.Fprintf(errs, "err line %d %d\n", n, n*7919)
}
