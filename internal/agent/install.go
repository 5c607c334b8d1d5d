package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"banger/internal/files"
	"banger/internal/guestconfig"
	"banger/internal/hostid"
)

// abandonedAfter is when an upload that was never finished is given up.
const abandonedAfter = 24 * time.Hour

// install puts a version of the agent and its shim, which were uploaded to a directory
// of their own, in their place, and removes versions that nobody uses. Two may do so
// at once: the place is taken by a rename, once, and holds what was asked for.
func install(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("install", flag.ContinueOnError)
	uploaded := flags.String("uploaded", "", "directory with the uploaded programs")
	place := flags.String("place", "", "directory of this version, beside that one")
	agent := flags.String("agent-sha256", "", "of "+guestconfig.AgentName)
	shim := flags.String("shim-sha256", "", "of "+guestconfig.ShimName)
	if err := flags.Parse(args); err != nil {
		return err
	}
	sums := map[string]string{guestconfig.AgentName: *agent, guestconfig.ShimName: *shim}
	if err := verify(*uploaded, sums); err != nil {
		return err
	}
	err := os.Rename(*uploaded, *place)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		err = errors.Join(verify(*place, sums), os.RemoveAll(*uploaded)) // somebody was faster
	}
	if err == nil {
		err = files.SyncDir(filepath.Dir(*place))
	}
	if err != nil {
		return fmt.Errorf("cannot install: %w", err)
	}
	return sweepVersions(filepath.Dir(*place), *place, hostid.MachineID())
}

// verify checks the programs in a directory by their SHA-256 and makes them executable,
// for their owner only, and durable.
func verify(dir string, sums map[string]string) error {
	for name, want := range sums {
		path := filepath.Join(dir, name)
		got, _, err := files.SHA256(path)
		if err == nil && got != want {
			err = fmt.Errorf("its SHA-256 is %s, not %s", got, want)
		}
		if err == nil {
			err = os.Chmod(path, 0o700)
		}
		if err == nil {
			err = files.Sync(path)
		}
		if err != nil {
			return fmt.Errorf("cannot verify %s: %w", path, err)
		}
	}
	return nil
}

// usedByPrefix begins the names of files in the directory of a version, each of which says
// that a host has used it: a home may be shared by hosts whose processes cannot be seen here.
const usedByPrefix = "used-by-"

// noteUse notes that the host with a machine id uses the version that runs.
func noteUse(machine string) error {
	if machine == "" {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(filepath.Dir(self), usedByPrefix+machine), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// sweepVersions removes the versions in a directory that no process runs and no other host
// may use, and uploads that were given up. A daemon that wants one again uploads it again.
func sweepVersions(dir, keep, machine string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cannot list versions: %w", err)
	}
	used := programsInUse()
	others, shared := usedElsewhere(dir, machine)
	var errs error
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if err != nil || !e.IsDir() || path == keep {
			continue
		}
		upload := strings.HasPrefix(e.Name(), guestconfig.UploadPrefix)
		if upload && time.Since(info.ModTime()) < abandonedAfter || !upload && used[path] {
			continue
		}
		if !upload && shared {
			ours := filepath.Join(path, usedByPrefix+machine)
			_, err := os.Lstat(ours)
			if others[path] || err != nil { // what nobody has noted is of a build that did not
				_ = os.Remove(ours)
				continue
			}
		}
		errs = errors.Join(errs, os.RemoveAll(path))
	}
	return errs
}

// usedElsewhere returns the versions that other hosts have used, and whether there is any.
func usedElsewhere(dir, machine string) (others map[string]bool, shared bool) {
	others = map[string]bool{}
	notes, _ := filepath.Glob(filepath.Join(dir, "*", usedByPrefix+"*"))
	for _, note := range notes {
		if filepath.Base(note) != usedByPrefix+machine {
			others[filepath.Dir(note)] = true
		}
	}
	return others, len(others) > 0
}

// programsInUse returns the directories of all programs that run, as far as this user
// may know; /proc/PID/exe in proc(5).
func programsInUse() map[string]bool {
	used := map[string]bool{}
	processes, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range processes {
		if path, err := os.Readlink(link); err == nil {
			used[filepath.Dir(path)] = true
		}
	}
	return used
}
