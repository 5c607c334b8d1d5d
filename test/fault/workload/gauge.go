package workload

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// gauge is the command of a session that writes round bytes for each byte that it reads, and
// then says so on stderr.
func gauge(in io.Reader, round string) error {
	size, err := strconv.Atoi(round)
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	for n := byte(0); ; n++ {
		if _, err := io.ReadFull(in, make([]byte, 1)); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for left := size; left > 0; left -= len(block) {
			for i := range block {
				block[i] = n + byte(i*i>>3) + byte(left>>16)
			}
			if _, err := os.Stdout.Write(block); err != nil {
				return err
			}
		}
		fmt.Fprintln(os.Stderr, "written")
	}
}
