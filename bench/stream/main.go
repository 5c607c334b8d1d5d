// Command stream is a client that is measured beside that of another commit: it is built in
// each tree, and speaks to that tree's daemon.
//
//	stream SOCKET VM live BYTES   starts a session that writes so much, receives it, and
//	                              prints in how many nanoseconds
//	stream SOCKET VM echo         starts cat, and is its terminal: stdin and stdout are its
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"banger"
	"banger/client"
	"banger/sessionstream"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stream:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 3 {
		return errors.New("the arguments are SOCKET VM live BYTES, or SOCKET VM echo")
	}
	c := client.New(args[0], "")
	switch {
	case args[2] == "echo":
		return echo(ctx, c, args[1])
	case args[2] == "live" && len(args) == 4:
		size, err := strconv.ParseInt(args[3], 10, 64)
		if err != nil {
			return err
		}
		return live(ctx, c, args[1], size)
	}
	return fmt.Errorf("there is no %s", args[2])
}

func live(ctx context.Context, c *client.Client, vm string, size int64) error {
	begun := time.Now()
	x, a, err := c.StartAttached(ctx, vm, banger.SessionRequest{Launch: banger.Launch{
		Command: "head", Args: []banger.ByteString{"-c", banger.ByteString(strconv.FormatInt(size, 10)), "/dev/zero"}, LogLimit: banger.NoLogLimit,
	}}, sessionstream.Attach{Role: sessionstream.RoleViewer})
	if err != nil {
		return err
	}
	defer a.Close()
	for size > 0 {
		m, err := a.Receive()
		if err != nil {
			return fmt.Errorf("%d bytes are missing: %w", size, err)
		}
		size -= int64(len(m.Data))
	}
	fmt.Println(time.Since(begun).Nanoseconds())
	return c.RemoveSession(ctx, string(x.VMID), string(x.ID), true)
}

func echo(ctx context.Context, c *client.Client, vm string) error {
	x, a, err := c.StartAttached(ctx, vm, banger.SessionRequest{Launch: banger.Launch{Command: "cat", StdinMode: banger.StdinPipe}},
		sessionstream.Attach{Role: sessionstream.RoleWriter})
	if err != nil {
		return err
	}
	defer func() { _ = c.RemoveSession(ctx, string(x.VMID), string(x.ID), true) }()
	defer a.Close()
	go func() {
		_, _ = io.Copy(a, os.Stdin)
		_ = a.CloseStdin()
	}()
	for {
		m, err := a.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			_, err = os.Stdout.Write(m.Data)
		}
		if err != nil {
			return err
		}
	}
}
