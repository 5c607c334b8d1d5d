package hosttest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/guest"
	"banger/internal/httpapi"
	"banger/internal/localsocket"
	"banger/internal/machine"
	"banger/internal/machine/remote"
	"banger/internal/paths"
	"banger/internal/session"
	"banger/internal/sshhost"
	"banger/internal/store"
	"banger/internal/version"
	"banger/internal/vmm"
)

// daemon is what a daemon is made of, but for images.
type daemon struct {
	store    *store.Store
	sessions *session.Services
	streams  *session.Streams
	vms      *machine.Services
	cancel   context.CancelFunc
	served   chan error // result of serving the API
}

// startDaemon does what a daemon does when it starts.
func startDaemon(ctx context.Context, p paths.Paths, signer ssh.Signer, drivers vmm.Drivers, work machine.Disks, retention banger.Retention, log *slog.Logger) (*daemon, error) {
	ctx, cancel := context.WithCancel(ctx)
	records, err := store.Open(ctx, p.Database())
	if err != nil {
		cancel()
		return nil, err
	}
	restored, err := records.Restored(ctx)
	if err != nil {
		cancel()
		return nil, errors.Join(err, records.Close())
	}
	links := guest.NewLinks(signer, log)
	d := &daemon{store: records, cancel: cancel, served: make(chan error, 1)}
	d.sessions = session.New(ctx, session.Config{Store: records, Guests: links, Retention: retention, Log: log})
	d.vms = machine.New(ctx, machine.Config{
		Store: records, Images: images{}, Disks: work, Initrds: initrds{}, Drivers: drivers, Links: links,
		Sessions: d.sessions.Reconciler, Paths: p, Restored: restored, ClientKey: string(ssh.MarshalAuthorizedKey(signer.PublicKey())), Log: log,
	})
	streams, attachments := session.NewOutput(d.sessions, d.vms.Disks)
	d.streams = streams
	d.sessions.Retain()
	if _, err := records.PutImage(ctx, image); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if err := d.vms.Adopt(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if err := records.Continue(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	d.vms.Autostart()
	listener, err := localsocket.Listen(p.Socket())
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	api := httpapi.New(httpapi.Services{VMs: d.vms.VMs, Remotes: d.vms.Remotes, Sessions: d.sessions.Sessions, Streams: streams, Control: d.sessions.Control, Events: d.store, Trash: d.vms.Trash, Attachments: attachments}, version.String())
	go func() { d.served <- httpapi.Serve(ctx, listener, api, log) }()
	return d, nil
}

// stop does what a daemon does when it ends.
func (d *daemon) stop() error {
	d.cancel()
	return errors.Join(<-d.served, d.close())
}

func (d *daemon) close() error {
	d.cancel()
	return errors.Join(d.sessions.Close(), d.vms.Close(), d.store.Close())
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
	key, err := os.ReadFile(p.ClientKey())
	if err != nil {
		return err
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return err
	}
	d, err := startDaemon(ctx, p, signer, drivers, work, banger.Retention{}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	ready()
	<-ctx.Done()
	return d.stop()
}
