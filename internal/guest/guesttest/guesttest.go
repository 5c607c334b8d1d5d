// Package guesttest is a guest made of functions: a real SSH server whose control
// process does what a test says, so that the host can be shown guests that
// freeze, die and lie.
package guesttest

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"sync"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/handler"
	"golang.org/x/crypto/ssh"

	"banger/internal/guestapi"
	"banger/internal/guestrpc"
)

// BootID is what an honest guest says in its greeting.
const BootID = "00000000-0000-4000-8000-000000000000"

// Guest is one guest. It lets everybody in.
type Guest struct {
	HostKey ssh.Signer
	// Control is the control process; it ends when it returns. Streams end when
	// the host closes them.
	Control func(stdin io.Reader, stdout, stderr io.Writer)
}

// Serve serves one connection until it ends.
func (g Guest) Serve(conn net.Conn) {
	defer conn.Close()
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		return nil, nil
	}}
	config.AddHostKey(g.HostKey)
	server, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return // the host has hung up
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer server.Close()
	running.Go(func() { ssh.DiscardRequests(requests) })
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		running.Go(func() { g.session(channel, requests) })
	}
}

// session runs the control process once it is asked for.
func (g Guest) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	var control sync.WaitGroup
	defer control.Wait()
	defer channel.Close()
	for r := range requests {
		asked := r.Type == "subsystem"
		_ = r.Reply(asked, nil)
		if asked {
			control.Go(func() {
				g.Control(channel, channel, channel.Stderr())
				channel.Close()
			})
		}
	}
}

// Answers are what a control process answers to each method, beside those of an
// honest guest without sessions.
type Answers map[string]func(ctx context.Context, params json.RawMessage) (any, error)

// Control returns a control process that answers until its stdin ends.
func (a Answers) Control() func(stdin io.Reader, stdout, stderr io.Writer) {
	all := Answers{
		guestrpc.MethodHello: func(context.Context, json.RawMessage) (any, error) {
			return guestapi.GuestHello{Protocol: guestapi.GuestProtocol, Version: "test", BootID: BootID}, nil
		},
		guestrpc.MethodList: func(context.Context, json.RawMessage) (any, error) { return guestrpc.ListPage{}, nil },
	}
	maps.Copy(all, a)
	return func(stdin io.Reader, stdout, _ io.Writer) {
		wire := guestrpc.NewChannel(stdin, nopCloser{stdout})
		server := jrpc2.NewServer(all.methods(wire), &jrpc2.ServerOptions{AllowPush: true, DisableBuiltin: true, Concurrency: 1000})
		server.Start(wire)
		_ = server.Wait() // its error is how the host hung up
	}
}

// methods turns answers into handlers. The bytes of a page of a log go over wire.
func (a Answers) methods(wire *guestrpc.Channel) handler.Map {
	methods := handler.Map{}
	for name, answer := range a {
		methods[name] = func(ctx context.Context, r *jrpc2.Request) (any, error) {
			var params json.RawMessage
			if err := r.UnmarshalParams(&params); err != nil {
				return nil, err
			}
			result, err := answer(ctx, params)
			page, ok := result.(guestapi.GuestLogPage)
			if err != nil || !ok {
				return result, err
			}
			var read guestrpc.LogRead
			if err := json.Unmarshal(params, &read); err != nil {
				return nil, err
			}
			split, blob := guestrpc.SplitPage(page)
			return split, wire.SendBlob(read.Blob, blob)
		}
	}
	return methods
}

// Always answers the same.
func Always(result any) func(context.Context, json.RawMessage) (any, error) {
	return func(context.Context, json.RawMessage) (any, error) { return result, nil }
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
