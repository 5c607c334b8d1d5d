package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"banger"
	"banger/client"
	"banger/sessionstream"
)

// A program starts a session, feeds its stdin, and has its output from the first byte on
// and how it ends. The attachment continues by itself when the daemon is replaced.
func Example() {
	socket, stop := daemonWithVM("dev") // a user's: banger daemon status shows the socket
	defer stop()
	ctx := context.Background()
	c := client.New(socket, "")

	_, attachment, err := c.StartAttached(ctx, "dev", banger.SessionRequest{
		Name:   "sorted",
		Launch: banger.Launch{Command: "sort", StdinMode: banger.StdinPipe},
	}, sessionstream.Attach{Role: sessionstream.RoleWriter, Client: "example"})
	if err != nil {
		log.Fatal(err)
	}
	defer attachment.Close()
	go func() { // a large input waits until the command reads it, which takes a Receive meanwhile
		if _, err := io.WriteString(attachment, "pears\napples\n"); err == nil {
			_ = attachment.CloseStdin()
		} // else Receive says why
	}()
	for {
		message, err := attachment.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		switch control := message.Control.(type) {
		case nil:
			_, _ = os.Stdout.Write(message.Data) // of message.Stream, at message.Offset
		case *sessionstream.Exit:
			fmt.Println(control.State.Status, *control.State.ExitCode)
		}
	}
	// Output:
	// apples
	// pears
	// exited 0
}

// A session needs no client while it runs. What it wrote and how it ended is there later,
// too, for any client.
func ExampleClient_WaitSession() {
	socket, stop := daemonWithVM("dev")
	defer stop()
	ctx := context.Background()
	c := client.New(socket, "")

	session, err := c.StartSession(ctx, "dev", banger.SessionRequest{
		Launch: banger.Launch{Command: "sh", Args: []banger.ByteString{"-c", "echo built; echo two warnings >&2; exit 3"}, StdinMode: banger.StdinClosed},
	})
	if err != nil {
		log.Fatal(err)
	}
	if session, err = c.WaitSession(ctx, "dev", string(session.ID)); err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.Status, *session.ExitCode)

	end, err := c.ReadLogs(ctx, "dev", string(session.ID), banger.LogRequest{Stream: banger.StreamStderr, Lines: -1}, func(chunk banger.LogChunk) error {
		fmt.Printf("%s: %s", chunk.Stream, chunk.Data)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the next byte of stderr is", end.Next.Stderr)
	// Output:
	// failed 3
	// stderr: two warnings
	// the next byte of stderr is 13
}

// Stdin may be fed by one client after another. Bytes that are sent again with their
// offset are not fed twice.
func ExampleClient_SendSession() {
	socket, stop := daemonWithVM("dev")
	defer stop()
	ctx := context.Background()
	c := client.New(socket, "")

	_, err := c.StartSession(ctx, "dev", banger.SessionRequest{
		Name:   "count",
		Launch: banger.Launch{Command: "wc", Args: []banger.ByteString{"-c"}, StdinMode: banger.StdinPipe},
	})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 { // as after an error that left it open whether the bytes have arrived
		sent, err := c.SendSession(ctx, "dev", "count", banger.SendRequest{Data: strings.NewReader("hello\n"), Offset: new(int64)})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("accepted:", sent.Offset)
	}
	if _, err := c.SendSession(ctx, "dev", "count", banger.SendRequest{EOF: true}); err != nil {
		log.Fatal(err)
	}
	_, err = c.ReadLogs(ctx, "dev", "count", banger.LogRequest{Stream: banger.StreamStdout, Lines: -1, Follow: true}, func(chunk banger.LogChunk) error {
		fmt.Printf("%s", chunk.Data)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// accepted: 6
	// accepted: 6
	// 6
}
