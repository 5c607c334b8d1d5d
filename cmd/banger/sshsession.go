package main

import (
	"context"
	"log/slog"
	"net"

	"golang.org/x/crypto/ssh"

	"banger/internal/agent/sshd"
	"banger/internal/cli"
)

// serveSSH is cli.CLI.ServeSSH, by the SSH server that guests have.
func serveSSH(ctx context.Context, conn net.Conn, s cli.SSHSession) {
	sshd.New(sshd.Config{
		HostKey: s.HostKey, AuthorizedKeys: []ssh.PublicKey{s.Client},
		Only: &sshd.Only{Command: s.Command}, Logger: slog.New(slog.DiscardHandler),
	}).ServeConn(ctx, conn)
}
