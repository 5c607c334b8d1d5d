package fault

import (
	"bufio"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"sync"
)

// daemon is a process of this test binary that is the daemon of an installation.
type daemon struct {
	t    *testing.T
	dir  string   // of the installation
	role []string // its role and the arguments of that behind dir

	mu      sync.Mutex // guards the fields below
	process *exec.Cmd
	closing bool
}

// start starts a daemon and returns when it serves.
func (d *daemon) start() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return
	}
	cmd := roleCommand(d.t, d.role[0], append([]string{d.dir}, d.role[1:]...)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		d.t.Error(err)
		return
	}
	d.process = cmd
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		d.t.Errorf("the daemon says %q, %v", line, err)
	}
}

// end sends the daemon a signal and waits for its end.
func (d *daemon) end(s os.Signal) {
	_ = d.process.Process.Signal(s)
	_ = d.process.Wait()
	checkEnd(d.t, d.process)
}

// close ends the daemon for good.
func (d *daemon) close() {
	d.mu.Lock()
	d.closing = true
	process := d.process
	d.mu.Unlock()
	_ = process.Process.Kill()
	_ = process.Wait()
}

// checkEnd fails the test if a process has ended by itself, and not well.
func checkEnd(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if code := cmd.ProcessState.ExitCode(); code > 0 {
		t.Errorf("%q ended with status %d", cmd.Args, code)
	}
}

func (d *daemon) socket() string { return pathsIn(d.dir).Socket() }

func (d *daemon) daemonPID() int { return d.process.Process.Pid }

func (d *daemon) killDaemon() {
	d.end(syscall.SIGKILL)
	d.start()
}

func (d *daemon) upgradeDaemon() {
	d.end(syscall.SIGTERM)
	d.start()
}
