package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"banger"
	"banger/internal/agent/passwd"
	"banger/internal/transfer"
)

// copyFiles is the program of the copy subsystem: it serves one copy of files on its standard
// streams, with the rights of its user, or of the one that the request names.
func copyFiles(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("copy", flag.ContinueOnError)
	line := flags.String("announce", "", "line to print before the protocol begins, behind whatever a login shell has printed, and to wait for on stdin")
	if err := flags.Parse(args); err != nil {
		return err
	}
	stdin, err := closableStdin()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { stdin.Close() })
	defer stop()
	if *line != "" {
		if err := errors.Join(announce(*line), skipToBeginning(stdin, *line)); err != nil {
			return err
		}
	}
	server := transfer.Server{
		Read: func(r transfer.Request, f func(context.Context, *transfer.Opened) error) error {
			path, err := pathFor(r)
			if err != nil {
				return err
			}
			return transfer.ReadPath(ctx, path, r.Follow, f)
		},
		Writable: pathFor,
	}
	err = server.Serve(ctx, struct {
		io.Reader
		io.Writer
	}{stdin, os.Stdout})
	if ctx.Err() != nil || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil // the client has gone, and knows
	}
	return err
}

// pathFor becomes the user of a request and returns its path, a relative one in the user's
// home.
func pathFor(r transfer.Request) (string, error) {
	users := passwd.System()
	user, err := users.Current()
	if r.User != "" {
		if user, err = users.Resolve(r.User); err == nil {
			err = become(user)
		}
		if err != nil {
			return "", banger.Errorf(banger.CodeInvalid, "cannot copy as user %q: %w", r.User, err)
		}
	}
	path, atHome := r.Begins()
	switch {
	case !atHome:
		return path, nil
	case err != nil:
		return "", fmt.Errorf("cannot find the home of the user: %w", err)
	}
	home := strings.TrimRight(filepath.Clean(user.Home), "/")
	return home + "/" + path, nil
}

// become gives up all rights that a user does not have.
func become(user passwd.User) error {
	if os.Geteuid() == int(user.UID) {
		return nil
	}
	groups := make([]int, len(user.Groups))
	for i, g := range user.Groups {
		groups[i] = int(g)
	}
	if err := syscall.Setgroups(groups); err != nil {
		return err
	}
	if err := syscall.Setgid(int(user.GID)); err != nil {
		return err
	}
	return syscall.Setuid(int(user.UID))
}
