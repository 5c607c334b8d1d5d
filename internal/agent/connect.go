package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"

	"banger/internal/localsocket"
)

// connect carries bytes between the standard streams and a unix socket, for SSH
// servers that forward none. It ends when the socket's other side has.
func connect(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("connect", flag.ContinueOnError)
	line := flags.String("announce", "", "line to print when the socket is open, behind whatever a login shell has printed, and to wait for on stdin")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *line == "" {
		return errors.New("usage: banger-agent connect --announce LINE SOCKET")
	}
	conn, err := localsocket.Dial(ctx, flags.Arg(0))
	if err != nil {
		return fmt.Errorf("cannot connect: %w", err)
	}
	defer conn.Close()
	stdin, err := closableStdin()
	if err != nil {
		return err
	}
	if err := announce(*line); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var sending sync.WaitGroup
	defer sending.Wait()
	defer stdin.Close()
	sending.Go(func() {
		if skipToBeginning(stdin, *line) == nil {
			_, _ = io.Copy(conn, stdin)
		}
		_ = conn.CloseWrite()
	})
	_, err = io.Copy(os.Stdout, conn)
	return err
}
