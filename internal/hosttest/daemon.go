package hosttest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"banger/internal/daemon"
	"banger/internal/localsocket"
	"banger/internal/machine"
	"banger/internal/machine/remote"
	"banger/internal/paths"
	"banger/internal/sshhost"
	"banger/internal/vmm"
)

// server is a daemon that serves its API.
type server struct {
	*daemon.Daemon
	cancel context.CancelFunc
	served chan error // result of serving the API
}

// serve does what a daemon does when it starts, for one image, of which there is only the
// record.
func serve(ctx context.Context, parts daemon.Parts) (*server, error) {
	parts.Images, parts.Initrds = images{}, initrds{}
	ctx, cancel := context.WithCancel(ctx)
	d, err := daemon.New(ctx, parts)
	if err != nil {
		cancel()
		return nil, err
	}
	s := &server{Daemon: d, cancel: cancel, served: make(chan error, 1)}
	if _, err := d.Store.Images.PutImage(ctx, image); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := d.Begin(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	listener, err := localsocket.Listen(parts.Paths.Socket())
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	go func() { s.served <- d.Serve(ctx, listener) }()
	return s, nil
}

// stop does what a daemon does when it ends.
func (s *server) stop() error {
	s.cancel()
	return errors.Join(<-s.served, s.close())
}

func (s *server) close() error {
	s.cancel()
	return s.Close()
}

// RunDaemon is the main function of a process that is a daemon, and that a test may
// kill. Its VMs have the machine at address, and their sessions in
// sessionsDir. ready is called when it serves. It
// ends with ctx.
func RunDaemon(ctx context.Context, p paths.Paths, address, sessionsDir string, ready func()) error {
	return runDaemon(ctx, p, disks{sessionsDir}, ready, elsewhere{address})
}

// RunRemoteDaemon is RunDaemon for a daemon that only has remote hosts. home is its
// user's, as far as SSH is concerned.
func RunRemoteDaemon(ctx context.Context, p paths.Paths, bin Binaries, home string, ready func()) error {
	return runDaemon(ctx, p, disks{}, ready, elsewhere{}, RemoteDriver(bin, home))
}

// RemoteDriver is the real driver of remote hosts, for a user with a home of the test's.
func RemoteDriver(bin Binaries, home string) *remote.Driver {
	return remote.New(remote.Config{
		Dialer:   &sshhost.Dialer{Home: home, ConfigFile: filepath.Join(home, ".ssh", "config"), AgentSocket: "/nonexistent/agent"},
		Programs: func(string) (remote.Programs, error) { return remote.Programs(bin), nil },
		Log:      slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
}

func runDaemon(ctx context.Context, p paths.Paths, work machine.Disks, ready func(), all ...vmm.Driver) error {
	drivers, err := vmm.NewDrivers(all...)
	if err != nil {
		return err
	}
	s, err := serve(ctx, daemon.Parts{Paths: p, Drivers: drivers, Disks: work, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return s.stop()
}
