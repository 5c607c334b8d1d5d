package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	sdnotify "github.com/coreos/go-systemd/v22/daemon"

	"banger/internal/config"
	"banger/internal/image/initrd"
	"banger/internal/image/mmdebstrap"
	"banger/internal/localsocket"
	"banger/internal/machine/qemu"
	"banger/internal/paths"
	"banger/internal/store"
	"banger/internal/systemd"
	"banger/internal/version"
	"banger/internal/vmm"
)

// Options are what differs between one run of the daemon and another.
type Options struct {
	Log *slog.Logger
	// Ready is closed when the daemon serves; nil if nobody waits for that.
	Ready *os.File
	// GuestBinaries is the directory with banger-agent and banger-shim, and those of other
	// architectures in directories by Go's names for them.
	GuestBinaries string
	// KVMTrialLimit is qemu.Config.TrialLimit.
	KVMTrialLimit time.Duration
}

// Run serves one installation until ctx ends or a client asks for the end, and
// then lets go of everything: VMs and sessions keep running, and the next daemon
// adopts them. It may be killed at any moment to the same effect.
func Run(ctx context.Context, p paths.Paths, o Options) (err error) {
	ctx, shutdown := context.WithCancel(ctx)
	defer shutdown()
	defer raiseHeap()()

	if err := p.Create(); err != nil {
		return err
	}
	if err := claimState(p); err != nil {
		return err
	}
	held, err := lock(p.DaemonLock())
	if err != nil {
		return err
	}
	defer held.Close()
	if err := endPredecessors(ctx, p.Database(), o.Log); err != nil {
		return err
	}
	settings, err := config.Load(p.Settings())
	if err != nil {
		return err
	}
	parts, err := partsOf(p, settings, o, shutdown)
	if err != nil {
		return err
	}
	d, err := New(ctx, parts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if o.Ready != nil { // a command has started it, and may end with its login
		if _, err := parts.Host.Cgroups.Keep(ctx, []int{os.Getpid()}, "banger-daemon-"+strings.ToLower(rand.Text()[:8])+".scope", "banger daemon"); err != nil {
			o.Log.Warn("cannot give the daemon a scope of its own", "cause", err)
		}
	}
	defer watchClock(ctx, d.links, o.Log)()
	defer watchNetwork(ctx, d.links, o.Log)()
	if err := d.Begin(ctx); err != nil {
		return err
	}
	defer keepCopies(ctx, d.Store.Copies, o.Log)()

	listener, err := localsocket.Listen(p.Socket())
	if err != nil {
		return err
	}
	watch, err := newGuard(p, held, listener, shutdown, o.Log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer watch.close()
	if err := announce(o.Ready); err != nil {
		return err
	}
	o.Log.Info("daemon serves", "socket", p.Socket(), "version", version.String())
	return d.Serve(ctx, listener)
}

// partsOf are those of a user's daemon. shutdown ends it.
func partsOf(p paths.Paths, settings config.Config, o Options, shutdown context.CancelFunc) (Parts, error) {
	cgroups, builder := systemd.NewHost(), mmdebstrap.New()
	driver := qemu.New(qemu.Config{
		VerdictCache: p.KVMVerdict(), TrialLimit: o.KVMTrialLimit, Poweroff: initrd.Poweroff, Cgroups: cgroups, Log: o.Log,
	})
	drivers, err := vmm.NewDrivers(driver, remotes(o))
	return Parts{
		Paths: p, Settings: settings, Drivers: drivers,
		Builder: builder, FileSystems: FileSystems{}, Disks: disks{}, Initrds: newInitrds(p.Initrds(), o.GuestBinaries),
		Host: &Host{Driver: driver, Builder: builder, Cgroups: cgroups, Shutdown: shutdown},
		Log:  o.Log,
	}, err
}

// announce says that the daemon serves: to the command that waits for that, or, where
// none has started it, to the service manager if there is one; sd_notify(3).
func announce(ready *os.File) error {
	if ready != nil {
		return ready.Close()
	}
	if _, err := sdnotify.SdNotify(true, sdnotify.SdNotifyReady); err != nil {
		return fmt.Errorf("cannot notify service manager: %w", err)
	}
	return nil
}

// keepCopies has the store copied until stop is called, which waits for the end of it.
func keepCopies(ctx context.Context, copies *store.Copies, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		copies.Keep(ctx, log)
	}()
	return func() {
		cancel()
		<-done
	}
}
