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
