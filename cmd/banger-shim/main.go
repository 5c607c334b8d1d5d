// Command banger-shim owns one session; banger-agent starts it. See internal/agent/shim.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"banger/internal/agent/shim"
	"banger/internal/agent/signals"
)

func main() {
	runtime.LockOSThread() // to the first thread; shim.Run says why
	err := signals.Reset()
	if err == nil {
		shim.SetName()
		err = shim.Run(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "banger-shim:", err)
		os.Exit(1)
	}
}
