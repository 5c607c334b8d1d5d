// Command banger-shim owns one session; banger-agent starts it. See internal/agent/shim.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"banger/internal/agent/shim"
)

func main() {
	runtime.LockOSThread() // to the first thread; shim.Run says why
	shim.SetName()
	if err := shim.Run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "banger-shim:", err)
		os.Exit(1)
	}
}
