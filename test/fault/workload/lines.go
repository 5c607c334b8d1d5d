package workload

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
)

// WriteLines writes what the command "lines" does: numbered lines to both streams in bursts
// of any length, size bytes in all, always the same.
func WriteLines(size int64, stdout, stderr io.Writer) error {
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
	if err := WriteLines(n, out, errs); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return errs.Flush()
}
