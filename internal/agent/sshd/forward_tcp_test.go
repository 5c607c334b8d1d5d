//go:build !unit

package sshd_test

import (
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"
)

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

func checkEcho(t *testing.T, network, address string) {
	t.Helper()
	conn, err := net.DialTimeout(network, address, waitLimit)
	if err != nil {
		t.Fatal(err)
	}
	checkEchoConn(t, conn)
}
