// Package mmdebstrap makes Debian root file systems with mmdebstrap(1), as root
// or as an ordinary user.
package mmdebstrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"banger"
)

// Builder runs mmdebstrap. It keeps nothing between calls; they may run at once.
type Builder struct{}

// New returns a builder.
func New() *Builder { return &Builder{} }

// guard runs mmdebstrap, its arguments, in a process group of which it is the
// leader. The kernel sends the guard SIGTERM when this process dies; it then
// kills the group. mmdebstrap alone would continue until it has something to write.
// One of the group is the first process of a pid namespace with everything that
// runs in the new system, so what a package's scripts started ends with it.
const guard = `trap 'kill -KILL 0' TERM; "$@" & wait "$!"`

// forgetOptions removes what --dpkgopt left in the new system.
const forgetOptions = `rm "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"`

// makeUser makes the user who is not root, the first that Debian's useradd(8) makes, and
// lets it become root without a password where there is sudo.
const makeUser = `chroot "$1" useradd --create-home --shell /bin/bash ` + banger.BuiltImageUser + ` || exit
if [ -d "$1/etc/sudoers.d" ]; then
	echo '` + banger.BuiltImageUser + ` ALL=(ALL:ALL) NOPASSWD: ALL' > "$1/etc/sudoers.d/` + banger.BuiltImageUser + `" &&
	chmod 440 "$1/etc/sudoers.d/` + banger.BuiltImageUser + `"
fi`

// sourceDate replaces all later times in the new system (reproducible-builds.org,
// SOURCE_DATE_EPOCH), so that equal packages make equal images: the day Debian
// 12 came out.
const sourceDate = 1686355200

// killedOutput bounds the wait for the output of a killed mmdebstrap.
const killedOutput = 5 * time.Second

// Build writes the system of suite, with exactly the packages of r.Include, one of which is
// sudo, beside Debian's minimum and what they depend on, and the user
// banger.BuiltImageUser, to stream as an uncompressed
// tar. The signatures of the mirror are checked with the host's own keys.
// Temporary files, about one and a half times the tar, lie in scratch, an existing directory
// that anyone may pass through; RemoveScratch removes them. Progress is called
// from one goroutine at a time with a stage and the part of the work that is
// done, 0 to 1; it may be nil. When Build returns nothing that it started is left
// running, also when ctx ended it.
func (b *Builder) Build(ctx context.Context, r banger.ImageRecipe, scratch string, stream io.Writer, progress func(stage string, done float64)) error {
	if err := b.Check(); err != nil {
		return err
	}
	if err := checkRecipe(r); err != nil {
		return err
	}
	args := []string{
		// For root too, mode unshare is the one with mount and pid namespaces of
		// its own: killed, it leaves neither mounts nor processes.
		"--variant=minbase", "--mode=unshare", "--format=tar",
		"--dpkgopt=force-unsafe-io", // a crash leaves nothing to be kept, and it halves the time
		"--customize-hook=" + makeUser,
		"--customize-hook=" + forgetOptions,
		"--include=" + strings.Join(r.Include, ","),
		"--", r.Suite, "-",
	}
	if r.Mirror != "" {
		args = append(args, r.Mirror)
	}
	meter := &meter{report: progress}
	log := &stageLog{begin: meter.begin}
	err := run(ctx, scratch, args, io.MultiWriter(stream, meter), log)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return explain(r, err, log.tail())
	}
	return err
}

// run runs mmdebstrap with a clean environment until it and all its children
// have ended.
func run(ctx context.Context, scratch string, args []string, stdout io.Writer, stderr io.Writer) error {
	program, err := exec.LookPath("mmdebstrap")
	if err != nil {
		return missing()
	}
	// The signal of Pdeathsig comes when the thread that started the guard ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Once a write has failed, mmdebstrap is of no use to anyone.
	output := &errorWriter{w: stdout, failed: cancel}
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", guard, "banger-mmdebstrap", program}, args...)...)
	cmd.Dir = "/" // no relative name of an argument is a file there
	cmd.Env = environment(scratch)
	cmd.Stdout, cmd.Stderr = output, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = killedOutput
	err = cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// killGroup kills a process group. That there is none left is not an error.
func killGroup(pgid int) error {
	if err := syscall.Kill(-pgid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// environment is all that mmdebstrap gets to see of ours: where its temporary
// files go, and the proxy.
func environment(scratch string) []string {
	env := []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		"LC_ALL=C.UTF-8",
		"HOME=/nonexistent",
		"TMPDIR=" + scratch,
		"DEBIAN_FRONTEND=noninteractive",
		"SOURCE_DATE_EPOCH=" + strconv.Itoa(sourceDate),
		"INITRD=No", // the kernel's package builds no initrd: guests boot ours
	}
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy"} {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// RemoveScratch removes a scratch directory with all that Build left in it. Build
// must have returned, or its process be dead.
func (b *Builder) RemoveScratch(ctx context.Context, scratch string) error {
	err := os.RemoveAll(scratch)
	if err == nil || os.Geteuid() == 0 {
		return err
	}
	// What remains belongs to the user's subordinate ids (subuid(5)), whom only
	// a user namespace can act as.
	entries, err := os.ReadDir(scratch)
	if err != nil {
		return fmt.Errorf("cannot remove directory %s: %w", scratch, err)
	}
	args := []string{"--unshare-helper", "rm", "-rf", "--"}
	for _, e := range entries {
		args = append(args, filepath.Join(scratch, e.Name()))
	}
	// It empties its directories but cannot remove them from ours, so whether it did
	// its work shows only when we can.
	log := &stageLog{begin: func(stage) {}}
	helped := run(ctx, scratch, args, io.Discard, log)
	if err := os.RemoveAll(scratch); err != nil {
		return fmt.Errorf("cannot remove directory %s: %w", scratch, errors.Join(err, helped, errors.New(log.tail())))
	}
	return nil
}

// errorWriter reports why a write failed, which the writing program cannot.
type errorWriter struct {
	w      io.Writer
	failed context.CancelCauseFunc
}

func (e *errorWriter) Write(p []byte) (int, error) {
	n, err := e.w.Write(p)
	if err != nil {
		e.failed(err)
	}
	return n, err
}
