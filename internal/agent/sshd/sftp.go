package sshd

import (
	"errors"
	"fmt"
	"io"

	"github.com/pkg/sftp"
)

// SFTP serves one SFTP client with the rights of this process, until r ends. It
// is the program behind the sftp subsystem: a process of its own, so that files
// are touched as the user who logged in and never as the server.
func SFTP(r io.Reader, w io.WriteCloser) error {
	server, err := sftp.NewServer(struct {
		io.Reader
		io.WriteCloser
	}{r, w})
	if err != nil {
		return fmt.Errorf("cannot start SFTP server: %w", err)
	}
	if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("cannot serve SFTP: %w", err)
	}
	return nil
}
