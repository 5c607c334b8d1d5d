package qemu

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"banger/internal/confine"
	"banger/internal/process"
	"banger/internal/vmm"
)

// The files of a machine in StateDir, beside vmm.MachineRefName.
const (
	consoleName = "console.log"
	readyName   = "ready"    // what the guest wrote to the ready port
	qemuLogName = "qemu.log" // QEMU's own messages
	oldSuffix   = ".1"       // of a log that was full
)

// gate is what becomes QEMU, in the same process, once it is told to. So the
// process is on record before there is a machine, and a starter that dies in
// between leaves none: its end of the pipe closes and the gate gives up. It is
// confined from its beginning; see reach.
const gate = `read -r go && exec "$@" </dev/null`

// launch is one start of one machine.
type launch struct {
	spec   vmm.MachineSpec
	binary string
	accel  Accel
}

// start runs the machine, or fails and leaves nothing. The caller holds the lock
// of the state directory.
func (l *launch) start(ctx context.Context, d *Driver) (*machine, error) {
	m, err := l.run(ctx, d)
	if err == nil {
		return m, nil
	}
	err = l.explain(ctx, err)
	if cleanup := l.removeFiles(); cleanup != nil {
		err = errors.Join(err, cleanup)
	}
	return nil, err
}

// run starts the machine and learns its port; if it fails, files may be left.
func (l *launch) run(ctx context.Context, d *Driver) (*machine, error) {
	if err := l.createFiles(); err != nil {
		return nil, err
	}
	m, err := l.begin(ctx, d)
	if err != nil {
		return nil, err
	}
	// QEMU answers before the guest runs, and not at all if it gives up.
	if err = m.learnPort(ctx); err == nil {
		err = m.record.save()
	}
	if err != nil {
		return nil, errors.Join(err, m.destroy(ctx))
	}
	return m, nil
}

// begin starts the process behind its gate, records it, and opens the gate.
func (l *launch) begin(ctx context.Context, d *Driver) (*machine, error) {
	var sockets []*os.File // of QEMU, which has them from qmpFD on
	for _, name := range []string{qmpName, eventsName} {
		socket, err := listenUnix(l.spec.StateDir, name)
		if err != nil {
			return nil, err
		}
		defer socket.Close() // else the end of QEMU would not end a connection
		sockets = append(sockets, socket)
	}
	r := record{
		Version: recordVersion, Name: l.name(), VM: l.spec.Name, Accelerator: l.accel,
		StateDir: l.spec.StateDir, RuntimeDir: l.spec.StateDir,
	}
	scribe, out, err := l.startScribe()
	if err != nil {
		return nil, err
	}
	r.Scribe = scribe.id
	m, err := l.beginBehindGate(ctx, d, r, sockets, out)
	out.close()
	if err != nil {
		scribe.finish() // nobody speaks to it any more
	}
	scribe.release()
	return m, err
}

// beginBehindGate is begin with what QEMU inherits.
func (l *launch) beginBehindGate(ctx context.Context, d *Driver, r record, sockets []*os.File, out outlets) (*machine, error) {
	child, opener, err := l.spawn(r.Name, append(sockets, out.console, out.ready), out.messages)
	if err != nil {
		return nil, err
	}
	m, err := l.admit(ctx, d, r, child.Pid, io.MultiWriter(out.begin, opener))
	opener.Close()
	if err != nil {
		_, waitErr := child.Wait() // the gate gives up
		return nil, errors.Join(err, waitErr)
	}
	_ = child.Release()
	return m, nil
}

// admit records the waiting process, moves it and its scribe where they live longest,
// and lets it become QEMU. One that crashes leaves no core dump: that would be the guest's memory,
// on the disk.
func (l *launch) admit(ctx context.Context, d *Driver, r record, pid int, opener io.Writer) (m *machine, err error) {
	if r.Process, err = process.Identify(pid); err != nil {
		return nil, err
	}
	proc, err := holdProcess(r.Process)
	if err != nil {
		return nil, err
	}
	if err = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil); err == nil {
		err = r.save()
	}
	if err == nil {
		d.keep(ctx, r)
		_, err = io.WriteString(opener, "go\n")
	}
	if err != nil {
		return nil, errors.Join(err, proc.close())
	}
	return newMachine(d, r, proc), nil
}

// name is unique among all machines there ever are.
func (l *launch) name() string {
	return "banger-" + string(l.spec.VMID) + "-" + strings.ToLower(rand.Text()[:8])
}

// spawn starts the gate in a session of its own and returns it with the file
// whose first line opens it. QEMU inherits files from qmpFD on.
func (l *launch) spawn(name string, inherited []*os.File, messages *os.File) (child *os.Process, opener *os.File, err error) {
	args, err := arguments(l.spec, l.accel, name)
	if err != nil {
		return nil, nil, err
	}
	stdin, opener, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer stdin.Close()
	argv := append([]string{"sh", "-c", gate, "banger", l.binary}, args...)
	err = confine.Do(l.reach(), func() error {
		var err error
		child, err = os.StartProcess("/bin/sh", argv, &os.ProcAttr{
			Dir:   "/",
			Env:   []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"},
			Files: append([]*os.File{stdin, messages, messages}, inherited...),
			Sys:   &syscall.SysProcAttr{Setsid: true},
		})
		return err
	})
	if err != nil {
		return nil, nil, errors.Join(err, opener.Close())
	}
	return child, opener, nil
}

// createFiles makes the files that the scribe writes: empty, for their owner only.
func (l *launch) createFiles() error {
	for _, name := range []string{consoleName + oldSuffix, qemuLogName + oldSuffix} {
		if err := os.Remove(l.statePath(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	for _, name := range []string{consoleName, readyName, qemuLogName} {
		f, err := os.OpenFile(l.statePath(name), os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		f.Close()
	}
	return nil
}

// removeFiles removes all that a machine has in its directory.
func (l *launch) removeFiles() error {
	var errs []error
	for _, path := range []string{
		l.statePath(vmm.MachineRefName), l.statePath(consoleName),
		l.statePath(readyName), l.statePath(qemuLogName),
		l.statePath(consoleName + oldSuffix), l.statePath(qemuLogName + oldSuffix),
		l.statePath(qmpName), l.statePath(eventsName),
	} {
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (l *launch) statePath(name string) string { return filepath.Join(l.spec.StateDir, name) }

// destroy ends a machine whose start failed, whatever became of ctx.
func (m *machine) destroy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), destroyTimeout)
	defer cancel()
	err := m.proc.signal(unix.SIGKILL)
	select {
	case <-m.done:
	case <-ctx.Done():
		err = errors.Join(err, fmt.Errorf("process %d does not end", m.proc.id.PID))
	}
	return errors.Join(err, m.Close())
}

// destroyTimeout bounds the wait for a process that was killed: the kernel frees
// the memory of a large machine in less.
const destroyTimeout = 10 * time.Second
