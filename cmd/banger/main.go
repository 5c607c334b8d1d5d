// Command banger runs durable sessions in disposable virtual machines: the
// command line, and with "daemon run" the daemon.
package main

import (
	"context"
	"fmt"
	"os"

	"banger/internal/cli"
	"banger/internal/version"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := cli.WithSignals(context.Background())
	defer stop()
	backend, err := newBackend()
	if err != nil {
		fmt.Fprintf(os.Stderr, "banger: %s\n", err)
		return cli.ExitFailure
	}
	c := cli.CLI{
		Version:  version.String(),
		Backend:  backend,
		Stdin:    os.Stdin,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
		ServeSSH: serveSSH,
	}
	return c.Run(ctx, os.Args[1:])
}
