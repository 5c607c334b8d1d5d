// Package machine holds the rules about VMs: it makes their disks, has a driver
// start and adopt their machines, keeps the link to each running guest, and
// records what becomes of them.
package machine

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"banger"
	"banger/internal/guestconfig"
	"banger/internal/paths"
)

// Images gives the files of images; internal/image.Service does.
type Images interface {
	GetImage(ctx context.Context, ref string) (banger.Image, error)
	// Files fails with CodeCorrupt if one of them is gone.
	Files(ctx context.Context, id banger.ImageID) (ImageFiles, error)
}

// ImageFiles are the parts of an image that a VM boots from, all absolute paths.
type ImageFiles struct {
	ID      banger.ImageID
	Root    string // raw ext4
	Kernel  string
	Modules string // the folder that holds modules.dep
}

// Disks makes writable disks; internal/image/ext4 does.
type Disks interface {
	// NewDisk makes a sparse file with an empty ext4 file system.
	NewDisk(ctx context.Context, path string, sizeMiB int, label string) error
}

// Initrds writes initial RAM disks; internal/image/initrd does.
type Initrds interface {
	// WriteVM writes what one boot of one VM needs to path.
	WriteVM(ctx context.Context, path string, image ImageFiles, config guestconfig.Config) error
}

// Links keeps the connections to guests; internal/guest.Links does.
type Links interface {
	// Serve keeps the link up until ctx or the machine ends.
	Serve(ctx context.Context, access banger.GuestAccess, handler banger.GuestHandler) error
}

// Sessions is told what concerns sessions; internal/session.Service does.
type Sessions interface {
	Guest(id banger.VMID) banger.GuestHandler
	MachineEnded(ctx context.Context, id banger.VMID, cause banger.EndedBy) error
}

// Config is what a Service is made of; every field is needed.
type Config struct {
	Store    banger.VMStore
	Images   Images
	Disks    Disks
	Initrds  Initrds
	Driver   banger.Driver
	Links    Links
	Sessions Sessions
	Paths    paths.Paths
	// ClientKey is the authorized_keys line by which guests know the host.
	ClientKey string
	Log       *slog.Logger
}

// Service implements banger.VMService. Its machines outlive it.
type Service struct {
	Config

	// Runs go on when the client that asked for them has gone, until Close.
	ctx    context.Context
	cancel context.CancelFunc

	mu    sync.Mutex            // guards the maps
	runs  map[banger.VMID]*run  // of machines that may be running
	locks map[banger.VMID]*lock // of VMs that someone changes
}

// New returns a service whose runs end with ctx or Close. Adopt must be called
// before anything else.
func New(ctx context.Context, c Config) *Service {
	ctx, cancel := context.WithCancel(ctx)
	return &Service{
		Config: c, ctx: ctx, cancel: cancel,
		runs:  map[banger.VMID]*run{},
		locks: map[banger.VMID]*lock{},
	}
}

// Close lets go of all machines, which run on, and waits until that is done.
func (s *Service) Close() error {
	s.cancel()
	for _, r := range s.allRuns() {
		<-r.released
	}
	return nil
}

// ListVMs implements banger.VMService.
func (s *Service) ListVMs(ctx context.Context) ([]banger.VM, error) { return s.Store.ListVMs(ctx) }

// GetVM implements banger.VMService.
func (s *Service) GetVM(ctx context.Context, ref string) (banger.VM, error) {
	vms, err := s.Store.ListVMs(ctx)
	if err != nil {
		return banger.VM{}, err
	}
	return banger.Resolve("vm", ref, vms)
}

// now is the time of a record.
func now() time.Time { return time.Now().UTC() }

// lock is held by whoever changes a VM.
type lock struct {
	held  chan struct{} // has one element while nobody holds it
	users int           // holders and waiters; guarded by Service.mu
}

// lockVM waits until the caller alone may change a VM.
func (s *Service) lockVM(ctx context.Context, id banger.VMID) (unlock func(), err error) {
	s.mu.Lock()
	l := s.locks[id]
	if l == nil {
		l = &lock{held: make(chan struct{}, 1)}
		l.held <- struct{}{}
		s.locks[id] = l
	}
	l.users++
	s.mu.Unlock()

	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(s.locks, id)
		}
	}
	select {
	case <-l.held:
		return func() { l.held <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
