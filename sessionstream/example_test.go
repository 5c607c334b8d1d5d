package sessionstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"

	"banger"
	"banger/sessionstream"
)

// The client's part of a conversation is an Attachment. Here its server is the function
// below; a connection to a session comes from a Dialer, such as banger's client.
func Example() {
	attachment, err := sessionstream.Open(context.Background(), sessionstream.Config{
		Dial: func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go serve(far)
			return near, nil
		},
		Attach: sessionstream.Attach{Role: sessionstream.RoleWriter, AttachID: "a1", From: &banger.LogCursor{}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer attachment.Close()
	if _, err := io.WriteString(attachment, "ping\n"); err != nil {
		log.Fatal(err)
	}
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
			fmt.Printf("%s at %d: %q\n", message.Stream, message.Offset, message.Data)
		case *sessionstream.StdinAck:
			fmt.Println("accepted:", control.Offset)
		case *sessionstream.Exit:
			fmt.Println(control.State.Status)
		}
	}
	// Output:
	// accepted: 5
	// stdout at 0: "ping\n"
	// exited
}

// serve is the least that a server does: it sends back one frame of stdin.
func serve(conn net.Conn) {
	defer conn.Close()
	in, out := sessionstream.NewReader(conn), sessionstream.NewWriter(conn)
	control, err := in.ReadControl()
	attach, ok := control.(*sessionstream.Attach)
	if err != nil || !ok {
		log.Fatalf("the client begins with %v, %v", control, err)
	}
	write := func(c sessionstream.Control) {
		if err := out.WriteControl(c); err != nil {
			log.Fatal(err)
		}
	}
	write(&sessionstream.Attached{Output: attach.From, Stdin: &sessionstream.Grant{WindowBytes: 1024, LeaseMS: 10_000}})
	if frame, err := in.Next(); err != nil || frame.Channel != sessionstream.ChannelStdin {
		log.Fatalf("the client continues with %+v, %v", frame, err)
	}
	line, err := io.ReadAll(in) // the rest of this frame
	if err != nil {
		log.Fatal(err)
	}
	write(&sessionstream.StdinAck{Offset: int64(len(line))})
	if err := out.WriteData(sessionstream.ChannelStdout, line); err != nil {
		log.Fatal(err)
	}
	write(&sessionstream.Exit{State: banger.SessionState{Status: banger.StatusExited}})
}

// These are the bytes with which a client begins: the preamble, and a frame with the
// control attach.
func ExampleWriter() {
	var stream bytes.Buffer
	writer := sessionstream.NewWriter(&stream)
	if err := writer.WriteControl(&sessionstream.Attach{Role: sessionstream.RoleViewer, AttachID: "a1"}); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q\n%q\n%s\n", stream.Next(8), stream.Next(sessionstream.HeaderBytes), stream.Bytes())
	// Output:
	// "bngrss/\x01"
	// "\x00\x00\x00\x00-"
	// {"attach":{"role":"viewer","attach_id":"a1"}}
}
