//go:build !unit

package localsocket_test

import (
	"os"
	"path/filepath"
	"testing"

	"banger/internal/localsocket"
)

// TestListen_OtherUserIsRefused listens for a user who is not this one, which is
// how this user looks to the daemon of another. Root may use every daemon, so as
// root the connection is made by a thread that gave that up.
func TestListen_OtherUserIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	l, err := localsocket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	const owner, stranger = 12345, 54321
	l = localsocket.ForUser(l, owner)
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		if conn, err := l.Accept(); err == nil {
			t.Error("the connection of another user was accepted")
			_ = conn.Close()
		}
	}()
	if os.Geteuid() == 0 {
		openForAll(t, path)
		asUser(t, stranger, func() { wantClosed(t, path) })
	} else {
		wantClosed(t, path)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	<-accepted
}
