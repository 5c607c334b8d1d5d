// Package daemon composes the parts of banger into the process that serves its
// API. It has no rules of its own.
package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/config"
	"banger/internal/debian"
	"banger/internal/guest"
	"banger/internal/httpapi"
	"banger/internal/image"
	"banger/internal/kernel"
	"banger/internal/machine"
	"banger/internal/paths"
	"banger/internal/session"
	"banger/internal/store"
	"banger/internal/version"
	"banger/internal/vmm"
)

// Parts are what differs between one daemon and another: that of a user, that of a test.
// Paths and Log are needed; who uses only a part of a Daemon leaves out what that does
// without.
type Parts struct {
	Paths    paths.Paths
	Settings config.Config
	Drivers  vmm.Drivers

	// Builder and FileSystems make images.
	Builder     image.RootBuilder
	FileSystems image.FileSystems
	// Registries carries the requests to registries of images; nil: http.DefaultTransport.
	Registries http.RoundTripper
	// Images are what VMs boot from; nil: the images that Builder makes.
	Images machine.Images
	// Kernels are what VMs boot whose image has none; nil: those of Archive.
	Kernels machine.Kernels
	// Archive has the kernels to be pulled; nil: Debian's.
	Archive kernel.Archive
	Disks   machine.Disks
	Initrds machine.Initrds

	// Signer is how guests know the daemon; nil: the key in Paths, which is made the
	// first time.
	Signer ssh.Signer
	// Host is what the state of the host is told by; nil: there is no banger.HostService.
	Host *Host

	Log *slog.Logger
}

// Daemon is the store of an installation and all that works on it. Begin comes before
// requests, and Close at the end.
type Daemon struct {
	Store       *store.Store
	Images      *image.Service
	Kernels     *kernel.Service
	VMs         *machine.Services
	Sessions    *session.Services
	Streams     *session.Streams
	Attachments *session.Attachments
	Copies      *session.Copies

	ctx   context.Context // never ends
	parts Parts
	links *guest.Links
	host  banger.HostService // nil: there is none
}

// New opens the store, which nobody else may have open, and makes what works on it.
func New(ctx context.Context, parts Parts) (_ *Daemon, err error) {
	p, log := parts.Paths, parts.Log
	if parts.Signer == nil {
		if parts.Signer, err = clientKey(p.ClientKey()); err != nil {
			return nil, err
		}
	}
	records, err := store.Open(ctx, p.Database())
	if err != nil {
		return nil, err
	}
	d, err := compose(ctx, parts, records, log)
	if err != nil {
		return nil, errors.Join(err, records.Close())
	}
	return d, nil
}

// compose makes each part of those before it.
func compose(ctx context.Context, parts Parts, records *store.Store, log *slog.Logger) (*Daemon, error) {
	p := parts.Paths
	restored, err := records.Continuity.Restored(ctx)
	if err != nil {
		return nil, err
	}
	ages, err := agesClock(ctx, p, records.Sessions, log)
	if err != nil {
		return nil, err
	}
	images := image.New(image.Config{
		Store: records.Images, Builder: parts.Builder, FS: parts.FileSystems,
		Sources: newSources(image.DownloadsDir(p), parts.Registries, parts.Settings.Mirrors), Stacks: newLayerStacks(image.LayersDir(p)),
		Paths: p, Log: log,
	})
	if parts.Images == nil {
		parts.Images = imageFiles{images}
	}
	if parts.Archive == nil {
		parts.Archive = debian.Archives{}
	}
	kernels := kernel.New(kernel.Config{Archive: parts.Archive, VMs: records.VMs, Paths: p, Log: log})
	if parts.Kernels == nil {
		parts.Kernels = kernelFiles{kernels, images}
	}
	links := guest.NewLinks(parts.Signer, log)
	sessions := session.New(ctx, session.Config{
		Store: records.Sessions, VMs: records.VMs, Guests: links, Retention: parts.Settings.Retention, Clock: ages, Log: log,
	})
	vms := machine.New(ctx, machine.Config{
		Store: records.VMs, SessionRecords: records.Sessions, Images: parts.Images, Kernels: parts.Kernels, Disks: parts.Disks, Initrds: parts.Initrds, Drivers: parts.Drivers,
		Links: links, Sessions: sessions.Reconciler, Paths: p, Restored: restored,
		ClientKey: authorizedKey(parts.Signer), Log: log,
	})
	streams, attachments := session.NewOutput(sessions, vms.Disks)
	d := &Daemon{
		Store: records, Images: images, Kernels: kernels, VMs: vms, Sessions: sessions, Streams: streams, Attachments: attachments,
		Copies: session.NewCopies(sessions, vms.Disks),
		ctx:    context.WithoutCancel(ctx), parts: parts, links: links,
	}
	if parts.Host != nil {
		d.host = &host{Host: *parts.Host, store: records, vms: vms, images: images, kernels: kernels, paths: p, settings: parts.Settings}
	}
	return d, nil
}

// authorizedKey is the line of authorized_keys by which guests know a signer.
func authorizedKey(signer ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

// Begin takes over what an earlier daemon has left, and starts what starts with the host.
func (d *Daemon) Begin(ctx context.Context) error {
	if err := errors.Join(d.Images.Recover(ctx), d.Kernels.Sweep()); err != nil {
		return err
	}
	d.Sessions.Retain()
	if err := d.VMs.Adopt(ctx); err != nil {
		return err
	}
	if err := d.Store.Continuity.Continue(ctx); err != nil {
		return err
	}
	d.VMs.Autostart()
	return nil
}

// Serve serves the API on listener, which it closes, until ctx ends.
func (d *Daemon) Serve(ctx context.Context, listener net.Listener) error {
	handler := httpapi.New(httpapi.Services{
		Services: banger.Services{
			VMs: d.VMs.VMs, Remotes: d.VMs.Remotes, Trash: d.VMs.Trash, Images: d.Images, Kernels: d.Kernels,
			Sessions: d.Sessions.Sessions, Control: d.Sessions.Control, Streams: d.Streams,
			Events: d.Store.Events, Host: d.host, Disk: diskUsage{d},
		},
		Attachments: d.Attachments,
		Copies:      d.Copies,
	}, version.String())
	return httpapi.Serve(ctx, listener, handler, d.parts.Log)
}

// Close lets go of everything: VMs and sessions keep running, and the next daemon adopts
// them. Serve has returned before.
func (d *Daemon) Close() error {
	err := errors.Join(d.Sessions.Close(), d.VMs.Close()) // sessions use guests
	return errors.Join(err, releaseState(d.ctx, d.parts.Paths, d.Store.VMs, d.parts.Drivers), d.Store.Close())
}
