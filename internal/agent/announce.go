package agent

import (
	"fmt"
	"io"
	"os"
)

// maxBeforeStart bounds what may come in before the daemon begins.
const maxBeforeStart = 64 << 10

// announce prints a line behind whatever a login shell has printed.
func announce(line string) error {
	_, err := fmt.Fprintf(os.Stdout, "\n%s\n", line)
	return err
}

// skipToBeginning reads stdin up to a line: what comes before it was meant for a start-up
// file that reads, which has taken some of it or none. It reads byte by byte, as what
// follows is for others.
func skipToBeginning(stdin io.Reader, line string) error {
	var got []byte
	one := make([]byte, 1)
	for range maxBeforeStart {
		if _, err := io.ReadFull(stdin, one); err != nil {
			return fmt.Errorf("cannot read where the daemon begins: %w", err)
		}
		switch {
		case one[0] != '\n':
			got = append(got, one[0])
		case string(got) == line:
			return nil
		default:
			got = got[:0]
		}
	}
	return fmt.Errorf("the daemon has not begun within %d bytes", maxBeforeStart)
}
