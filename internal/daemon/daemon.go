// Package daemon composes the parts of banger into the process that serves its
// API. It has no rules of its own.
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
	"banger/internal/guest"
	"banger/internal/httpapi"
	"banger/internal/image"
	"banger/internal/image/initrd"
	"banger/internal/image/mmdebstrap"
	"banger/internal/localsocket"
	"banger/internal/machine"
	"banger/internal/machine/qemu"
	"banger/internal/paths"
	"banger/internal/session"
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

	cgroups := systemd.NewHost()
	driver := qemu.New(qemu.Config{
		VerdictCache: p.KVMVerdict(), TrialLimit: o.KVMTrialLimit, Poweroff: initrd.Poweroff, Cgroups: cgroups, Log: o.Log,
	})
	drivers, err := vmm.NewDrivers(driver, remotes(o))
	if err != nil {
		return err
	}

	signer, authorizedKey, err := clientKey(p.ClientKey())
	if err != nil {
		return err
	}
	records, err := store.Open(ctx, p.Database())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	restored, err := records.Restored(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, releaseState(context.WithoutCancel(ctx), p, records, drivers)) }()

	builder := mmdebstrap.New()
	images := image.New(image.Config{Store: records, Builder: builder, FS: fileSystems{}, Paths: p, Log: o.Log})
	if err := images.Recover(ctx); err != nil {
		return err
	}
	if o.Ready != nil { // a command has started it, and may end with its login
		if _, err := cgroups.Keep(ctx, []int{os.Getpid()}, "banger-daemon-"+strings.ToLower(rand.Text()[:8])+".scope", "banger daemon"); err != nil {
			o.Log.Warn("cannot give the daemon a scope of its own", "cause", err)
		}
	}
	links := guest.NewLinks(signer, o.Log)
	defer watchClock(ctx, links, o.Log)()
	defer watchNetwork(ctx, links, o.Log)()

	ages, err := agesClock(ctx, p, records, o.Log)
	if err != nil {
		return err
	}
	sessions := session.New(ctx, session.Config{Store: records, Guests: links, Retention: settings.Retention, Clock: ages, Log: o.Log})
	machines := machine.New(ctx, machine.Config{
		Store: records, Images: imageFiles{images}, Disks: disks{}, Initrds: newInitrds(p.Initrds(), o.GuestBinaries),
		Drivers: drivers, Links: links, Sessions: sessions.Reconciler, Paths: p, Restored: restored,
		ClientKey: authorizedKey, Log: o.Log,
	})
	defer func() { err = errors.Join(err, sessions.Close(), machines.Close()) }() // sessions use guests
	streams, attachments := session.NewOutput(sessions, machines.Disks)
	sessions.Retain()
	if err := machines.Adopt(ctx); err != nil {
		return err
	}
	if err := records.Continue(ctx); err != nil {
		return err
	}
	defer keepCopies(ctx, records, o.Log)()
	machines.Autostart()

	listener, err := localsocket.Listen(p.Socket())
	if err != nil {
		return err
	}
	watch, err := newGuard(p, held, listener, shutdown, o.Log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer watch.close()
	handler := httpapi.New(httpapi.Services{
		VMs: machines.VMs, Remotes: machines.Remotes, Sessions: sessions.Sessions, Streams: streams, Control: sessions.Control, Images: images, Events: records, Trash: machines.Trash, Attachments: attachments,
		Host: &host{store: records, trash: machines.Trash, paths: p, settings: settings, driver: driver, images: images, builder: builder, cgroups: cgroups, shutdown: shutdown},
	}, version.String())
	if err := announce(o.Ready); err != nil {
		return err
	}
	o.Log.Info("daemon serves", "socket", p.Socket(), "version", version.String())
	return httpapi.Serve(ctx, listener, handler, o.Log)
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
func keepCopies(ctx context.Context, records *store.Store, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		records.KeepCopies(ctx, log)
	}()
	return func() {
		cancel()
		<-done
	}
}
