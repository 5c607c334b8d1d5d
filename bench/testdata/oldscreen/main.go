// Oldscreen has the emulator that banger had before its own one show the bytes of
// stdin at 24 rows and 80 columns, and prints how many nanoseconds that took.
package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/charmbracelet/x/vt"
)

func main() {
	output, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	begun := time.Now()
	e := vt.NewEmulator(80, 24)
	e.SetScrollbackSize(1)
	go func() { _, _ = io.Copy(io.Discard, e) }() // its answers
	for len(output) > 0 {
		n := min(len(output), 4<<10)
		_, _ = e.Write(output[:n])
		output = output[n:]
	}
	_ = e.Render()
	fmt.Println(time.Since(begun).Nanoseconds())
}
