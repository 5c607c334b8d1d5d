package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/diskspace"
	"banger/internal/guestapi"
	"banger/internal/localsocket"
	"banger/internal/sessiondir"
)

// What a place needs for a session that writes little, and how long it may take to answer.
const (
	roomForSession  = 16 << 20 // bytes
	filesForSession = 64
	tryTimeout      = 10 * time.Second
)

// try reports which of some directories can hold the state of sessions, and of the others why
// not. It makes a session in each, as control would, and removes it. The line of each
// begins with a mark: "MARK state DIRECTORY" or "MARK lacking DIRECTORY: REASON". Those that
// hold sessions come first, so that a place which was full for a while does not take the
// place of the one where they are.
func try(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("try", flag.ContinueOnError)
	mark := flags.String("mark", "", "word that begins each line")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var inUse, others, unfit []string
	for _, dir := range flags.Args() {
		used := holdsSessions(dir)
		switch err := tryPlace(ctx, dir, used); {
		case err != nil:
			unfit = append(unfit, "lacking "+dir+": "+oneLine(err))
		case used:
			inUse = append(inUse, "state "+dir)
		default:
			others = append(others, "state "+dir)
		}
	}
	for _, line := range append(append(inUse, others...), unfit...) {
		if _, err := fmt.Printf("%s %s\n", *mark, line); err != nil {
			return err
		}
	}
	return nil
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// holdsSessions reports whether there is a session in a directory of state.
func holdsSessions(dir string) bool {
	entries, err := os.ReadDir(filepath.Join(dir, "sessions"))
	if err != nil {
		return false
	}
	for _, e := range entries {
		if banger.ValidID(e.Name()) {
			return true
		}
	}
	return false
}

// tryPlace does what a session does: files that are renamed and synced, a lock, a socket that
// is connected to. Where there are sessions already, they report a lack of space.
func tryPlace(ctx context.Context, state string, used bool) error {
	sweepTrials(state)
	dir, err := os.MkdirTemp(state, trialPrefix)
	if err != nil {
		return plain(err)
	}
	defer os.RemoveAll(dir)
	if !used {
		if err := checkRoom(dir); err != nil {
			return err
		}
	}
	launch := guestapi.GuestLaunch{ID: banger.NewSessionID()}
	session, lock, err := sessiondir.Create(filepath.Join(dir, "sessions"), launch)
	if err != nil {
		return plain(err)
	}
	defer lock.Close()
	if err := sessiondir.Settle(session); err != nil {
		return fmt.Errorf("files cannot be synced: %w", plain(err))
	}
	if other, err := sessiondir.TryLock(session); !errors.Is(err, sessiondir.ErrLocked) {
		if err == nil {
			other.Close()
			return errors.New("locks (flock) are not exclusive")
		}
		return fmt.Errorf("a lock (flock) cannot be had: %w", plain(err))
	}
	return trySocket(ctx, filepath.Join(session, sessiondir.SocketName))
}

// trialPrefix begins the name of a trial's directory.
const trialPrefix = ".try-"

// sweepTrials removes what trials have left that were killed.
func sweepTrials(state string) {
	trials, _ := filepath.Glob(filepath.Join(state, trialPrefix+"*"))
	for _, dir := range trials {
		if info, err := os.Lstat(dir); err == nil && time.Since(info.ModTime()) > abandonedAfter {
			_ = os.RemoveAll(dir) // else the next one does it
		}
	}
}

// trySocket connects to a socket there.
func trySocket(ctx context.Context, path string) error {
	listener, err := localsocket.Listen(path)
	if err != nil {
		return fmt.Errorf("a unix socket cannot be made: %w", plain(err))
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	conn, err := localsocket.Dial(ctx, path)
	if err != nil {
		return fmt.Errorf("a unix socket cannot be connected to: %w", plain(err))
	}
	return conn.Close()
}

// checkRoom reports whether a session has room.
func checkRoom(dir string) error {
	space, err := diskspace.Of(dir)
	switch {
	case err != nil:
		return fmt.Errorf("cannot determine its free space: %w", plain(err))
	case space.Free < roomForSession:
		return fmt.Errorf("not enough space: %d KiB are free, a session needs %d", space.Free>>10, roomForSession>>10)
	case space.Files > 0 && space.FreeFiles < filesForSession:
		return fmt.Errorf("not enough space: %d more files can be created, a session needs %d", space.FreeFiles, filesForSession)
	}
	return nil
}

// plain is the system's error without the name of a file that is only for the trial.
func plain(err error) error {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		call := ""
		if e, ok := errors.AsType[*os.SyscallError](err); ok {
			call = e.Syscall + ": "
		} else if e, ok := errors.AsType[*os.PathError](err); ok {
			call = e.Op + ": "
		} else if e, ok := errors.AsType[*os.LinkError](err); ok {
			call = e.Op + ": "
		}
		return fmt.Errorf("%s%w", call, errno)
	}
	return err
}
