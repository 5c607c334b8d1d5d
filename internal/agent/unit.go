package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"

	"banger/internal/agent/pid1"
	"banger/internal/agent/sshd"
)

// serveUnit is the SSH server as a unit of systemd, which starts it again when it ends. It
// notifies systemd and the host that it listens, and has the power button work in images
// without logind, too.
func serveUnit(ctx context.Context, config sshd.Config, l net.Listener, readyPort string) error {
	guard := &lastToDie{}
	config.Start = guard.start
	if err := guard.protect(); err != nil {
		slog.Warn("the kernel may kill this server when memory runs out", "cause", err)
	}
	pid1.OnPowerButton(slog.Default(), func() {
		if err := pid1.PowerOffSystemd(); err != nil {
			slog.Error(err.Error())
		}
	})
	if err := notifySystemd("READY=1"); err != nil {
		l.Close()
		return err
	}
	var announcing sync.WaitGroup
	defer announcing.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	announcing.Go(func() {
		if err := pid1.AnnounceReady(ctx, readyPort); err != nil {
			slog.Warn(err.Error())
		}
	})
	return sshd.New(config).Serve(ctx, l)
}

// notifySystemd sends a message to the manager of this unit; sd_notify(3).
func notifySystemd(message string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return errors.New("cannot notify systemd: there is no NOTIFY_SOCKET")
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("cannot notify systemd: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(message)); err != nil {
		return fmt.Errorf("cannot notify systemd: %w", err)
	}
	return nil
}

// lastToDie has the out-of-memory killer spare this process as long as there is any other, but
// not what it starts, which would inherit that; /proc/PID/oom_score_adj in proc(5). Safe for
// concurrent use.
type lastToDie struct{ mu sync.Mutex }

// The scores: -1000 would mean never, and a kernel that finds nothing else to kill panics.
const (
	scoreLast  = -999
	scoreUsual = 0
)

func (d *lastToDie) protect() error { return setOOMScore(scoreLast) }

// start starts a command with the usual score.
func (d *lastToDie) start(cmd *exec.Cmd) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := setOOMScore(scoreUsual); err != nil {
		return fmt.Errorf("cannot have the command die first when memory runs out: %w", err)
	}
	defer func() { _ = d.protect() }() // what could be set once can be set again
	return cmd.Start()
}

func setOOMScore(score int) error {
	return os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(score)), 0)
}

// holdSessions is the process of the unit that has the sessions.
func holdSessions(ctx context.Context, _ []string) error {
	if err := pid1.HoldSessions(); err != nil {
		return err
	}
	if err := notifySystemd("READY=1"); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// endSessions is the stop of the unit that ends the sessions at a shutdown.
func endSessions(context.Context, []string) error { return pid1.EndSessions() }
