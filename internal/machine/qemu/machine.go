package qemu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/vmm"
)

// machine is a handle of a running machine; it implements vmm.Dialer, vmm.Powered and vmm.PausingMachine.
type machine struct {
	record record // fixed once the handle is given out
	proc   *heldProcess
	watch  *fileWatch
	done   chan struct{} // closed when the process has ended, and all that it said is written
	// endsWith is what ended the process without a request when the handle was made.
	endsWith string

	live  context.Context // ends with the process or the handle
	end   context.CancelFunc
	tasks sync.WaitGroup
}

const (
	// killGrace is how long QEMU may take to write back what is in flight.
	killGrace = time.Second
	// endGrace bounds how long a process that has closed its socket may take to end.
	endGrace = time.Second
	// readyBytes is how much of the beginning and of the end of the ready port's output
	// is looked at.
	readyBytes = 4096
	// readyPause is between two looks at it where inotify(7) has no watch left.
	readyPause = time.Second
)

// errClosed is what a handle answers after Close.
var errClosed = fmt.Errorf("the handle of the machine is closed: %w", os.ErrClosed)

// newMachine makes a handle, which owns proc from now on.
func newMachine(d *Driver, r record, proc *heldProcess) *machine {
	m := &machine{record: r, proc: proc, watch: d.watch, done: make(chan struct{}), endsWith: d.endsWith(r.Process.PID)}
	m.live, m.end = context.WithCancel(context.Background())
	scribe := openScribe(r.Scribe)
	m.tasks.Go(func() {
		defer m.end()
		defer scribe.release()
		if err := proc.wait(); err == nil {
			scribe.finish()
			close(m.done)
		} else if !errors.Is(err, os.ErrClosed) {
			d.log.Error("cannot wait for machine", "machine", r.Name, "error", err)
		}
	})
	return m
}

// Ref implements vmm.Machine.
func (m *machine) Ref() json.RawMessage { return m.record.marshal() }

// Info implements vmm.Machine.
func (m *machine) Info() vmm.MachineInfo {
	return vmm.MachineInfo{
		PID:         m.record.Process.PID,
		Accelerator: string(m.record.Accelerator),
		SSHAddress:  net.JoinHostPort("127.0.0.1", strconv.Itoa(m.record.SSHPort)),
		EndsWith:    m.endsWith,
	}
}

// Done implements vmm.Machine.
func (m *machine) Done() <-chan struct{} { return m.done }

// WaitReady implements vmm.Machine.
func (m *machine) WaitReady(ctx context.Context) error {
	if m.hasEnded() {
		return vmm.ErrMachineGone
	}
	path := filepath.Join(m.record.StateDir, readyName)
	if ready, err := announced(path); ready || err != nil {
		return err // and needs no watch
	}
	// A user has so many watches, and an editor may have them all.
	changed, cancel, err := m.watch.add(path)
	if err == nil {
		defer cancel()
	}
	for {
		ready, announcedErr := announced(path)
		if ready || announcedErr != nil {
			return announcedErr
		}
		var again <-chan time.Time
		if err != nil {
			again = time.After(readyPause)
		}
		select {
		case <-changed:
		case <-again:
		case <-m.live.Done():
			return m.over()
		case <-ctx.Done():
			return fmt.Errorf("cannot wait for guest of machine %s: %w", m.record.Name, context.Cause(ctx))
		}
	}
}

// PoweredOff implements vmm.Powered.
func (m *machine) PoweredOff() bool { return m.hasEnded() && m.record.saidOff() }

// saidOff reports whether the last thing that the guest said is that it powers off.
func (r record) saidOff() bool {
	f, err := os.Open(filepath.Join(r.StateDir, readyName))
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false
	}
	data, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-readyBytes), readyBytes))
	if err != nil {
		return false
	}
	last := data[bytes.LastIndexByte(bytes.TrimSuffix(data, []byte("\n")), '\n')+1:]
	return bytes.HasPrefix(last, []byte("off "))
}

// announced reports whether the guest has written its line to the ready port. What is
// not such a line can never become one, so it is an error.
func announced(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("cannot wait for guest: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, readyBytes))
	if err != nil {
		return false, fmt.Errorf("cannot wait for guest: %w", err)
	}
	for line := range bytes.Lines(data) {
		ready := bytes.HasPrefix(line, []byte("ready "))
		switch whole := bytes.HasSuffix(line, []byte("\n")); {
		case ready && whole:
			return true, nil
		case !whole && len(line) <= maxReadyLine: // the rest is on its way
		case !ready && !bytes.HasPrefix(line, []byte("off ")):
			return false, banger.Errorf(banger.CodeUnavailable, "cannot wait for guest: what it writes to port %s is not what its agent does: %.40q", readyPort, line).
				WithHint("something else in the guest uses the port; stop and start the VM")
		}
	}
	return false, nil
}

// maxReadyLine is more than a word and a boot id have.
const maxReadyLine = 64

// Dial implements vmm.Dialer. QEMU itself accepts the connection, so one may
// be opened and closed again while the guest does not listen yet.
func (m *machine) Dial(ctx context.Context) (net.Conn, error) {
	if m.hasEnded() {
		return nil, vmm.ErrMachineGone
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", m.Info().SSHAddress)
	if err != nil {
		return nil, m.explain(ctx, "dial guest of machine", err)
	}
	// The port of a machine that has ended may be another program's by now.
	if m.hasEnded() {
		return nil, errors.Join(vmm.ErrMachineGone, conn.Close())
	}
	return conn, nil
}

// PowerDown implements vmm.Powered.
func (m *machine) PowerDown(ctx context.Context) error {
	if m.hasEnded() {
		return vmm.ErrMachineGone
	}
	err := m.record.withQMP(ctx, func(q *qmp) error { return q.execute("system_powerdown", nil, nil) })
	return m.explain(ctx, "power down machine", err)
}

// Kill implements vmm.Powered. On SIGTERM QEMU ends by itself, and finishes
// the writes in flight before that.
func (m *machine) Kill(ctx context.Context) error {
	for _, step := range []struct {
		signal unix.Signal
		wait   <-chan time.Time
	}{{unix.SIGTERM, time.After(killGrace)}, {unix.SIGKILL, nil}} {
		if m.hasEnded() {
			return nil
		}
		if err := m.proc.signal(step.signal); err != nil {
			return fmt.Errorf("cannot kill machine %s: %w", m.record.Name, err)
		}
		select {
		case <-m.live.Done():
			if m.hasEnded() {
				return nil
			}
			return errClosed
		case <-step.wait:
		case <-ctx.Done():
			return fmt.Errorf("cannot kill machine %s: %w", m.record.Name, context.Cause(ctx))
		}
	}
	return nil
}

// Close implements vmm.Machine.
func (m *machine) Close() error {
	m.end()
	err := m.proc.close()
	m.tasks.Wait()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

func (m *machine) hasEnded() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// over says why the handle is of no more use.
func (m *machine) over() error {
	if m.hasEnded() {
		return vmm.ErrMachineGone
	}
	return errClosed
}

// explain names what could not be done; if that was because the machine ended,
// it is ErrMachineGone. A dying process closes its sockets before it is gone.
func (m *machine) explain(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	default:
		select {
		case <-m.done:
			return vmm.ErrMachineGone
		case <-time.After(endGrace):
		}
	}
	return fmt.Errorf("cannot %s %s: %w", what, m.record.Name, err)
}

// forwarded finds the port in the answer to info usernet: the one connection
// that waits for others.
var forwarded = regexp.MustCompile(`(?m)^\s*TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s`)

// learnPort asks QEMU which port leads to the guest's SSH server. Only for a
// handle that nobody else has yet.
func (m *machine) learnPort(ctx context.Context) error {
	return m.record.withQMP(ctx, func(q *qmp) error {
		var answer string
		arguments := map[string]string{"command-line": "info usernet"}
		if err := q.execute("human-monitor-command", arguments, &answer); err != nil {
			return err
		}
		match := forwarded.FindStringSubmatch(answer)
		if match == nil {
			return fmt.Errorf("QEMU tells no forwarded port: %q", answer)
		}
		port, err := strconv.Atoi(match[1])
		m.record.SSHPort = port
		return err
	})
}
