package sshd_test

import (
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// echoListener serves echo: each connection gets its own bytes back, and the end
// of them only after it has ended its own.
func echoListener(t *testing.T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				data, _ := io.ReadAll(conn)
				_, _ = conn.Write(data)
			}()
		}
	}()
	return l.Addr().String()
}

func checkEcho(t *testing.T, network, address string) {
	t.Helper()
	conn, err := net.DialTimeout(network, address, waitLimit)
	if err != nil {
		t.Fatal(err)
	}
	checkEchoConn(t, conn)
}

func checkEchoConn(t *testing.T, conn net.Conn) {
	t.Helper()
	limit := time.AfterFunc(waitLimit, func() { conn.Close() })
	defer limit.Stop()
	defer conn.Close()
	if _, err := conn.Write([]byte("to and fro")); err != nil {
		t.Fatal(err)
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || string(got) != "to and fro" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestForward_TCPAndUnixWithHalfClose(t *testing.T) {
	client := newServer(t).dial(t, "root")
	socket := filepath.Join(t.TempDir(), "s")
	for network, address := range map[string]string{
		"tcp":  echoListener(t, "tcp", "127.0.0.1:0"),
		"unix": echoListener(t, "unix", socket),
	} {
		conn, err := client.Dial(network, address)
		if err != nil {
			t.Errorf("%s: %v", network, err)
			continue
		}
		checkEchoConn(t, conn)
	}
}

func TestForward_NothingListeningIsARefusedChannel(t *testing.T) {
	client := newServer(t).dial(t, "root")
	if conn, err := client.Dial("unix", filepath.Join(t.TempDir(), "none")); err == nil {
		conn.Close()
		t.Error("a connection to nothing was opened")
	}
	if r := run(t, client, "echo still here", nil, nil); r.stdout != "still here\n" {
		t.Errorf("the connection is unusable after it: %v", r.err)
	}
}

func TestForward_RemoteListenerEndsWithItsClient(t *testing.T) {
	client := newServer(t).dial(t, "root")
	l, err := client.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		data, _ := io.ReadAll(conn)
		_, _ = conn.Write(data)
		conn.Close()
	}()
	checkEcho(t, "tcp", address)
	client.Close()
	deadline := time.Now().Add(waitLimit)
	for {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("the listener outlives its client")
		}
	}
}
