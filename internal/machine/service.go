// Package machine holds the rules about VMs: it makes their disks, has a driver
// start and adopt their machines, keeps the link to each running guest, and
// records what becomes of them.
package machine

import (
	"context"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestconfig"
	"banger/internal/keylock"
	"banger/internal/paths"
	"banger/internal/records"
	"banger/internal/vmm"
)

// Images gives the files of images; internal/image.Service does.
type Images interface {
	GetImage(ctx context.Context, ref string) (banger.Image, error)
	// Files fails with CodeCorrupt if one of them is gone.
	Files(ctx context.Context, id banger.ImageID) (ImageFiles, error)
	// Use notes that the VM in a directory boots from an image, which nobody deletes then.
	Use(id banger.ImageID, dir string) error
}

// ImageFiles are the parts of an image that a VM boots from, all absolute paths.
type ImageFiles struct {
	ID      banger.ImageID
	Root    string // raw ext4
	Kernel  string
	Modules string // the directory that holds modules.dep
}

// Disks makes and reads writable disks; internal/image/ext4 does.
type Disks interface {
	// NewDisk makes a sparse file with an empty ext4 file system.
	NewDisk(ctx context.Context, path string, sizeMiB int, label string) error
	// ReadDisk calls f with the file system of a disk that nobody else uses.
	ReadDisk(ctx context.Context, path string, f func(fs.FS) error) error
}

// Initrds writes initial RAM disks; internal/image/initrd does.
type Initrds interface {
	// WriteVM writes what one boot of one VM needs to path.
	WriteVM(ctx context.Context, path string, image ImageFiles, config guestconfig.Config) error
}

// Links keeps the connections to guests; internal/guest.Links does.
type Links interface {
	// Open makes the link to one guest, which users then wait for; serve keeps it
	// up until ctx or the machine ends.
	Open(access vmm.GuestAccess, handler guestapi.GuestHandler) (serve func(ctx context.Context) error, err error)
	// Retry has a link that is down tried again: there is a reason to.
	Retry(id banger.VMID)
}

// Sessions is told what concerns sessions; internal/session.Reconciler does.
type Sessions interface {
	Guest(id banger.VMID) guestapi.GuestHandler
	// MachineEnded is called before the end of the machine is recorded, and again
	// if that could not be done.
	MachineEnded(ctx context.Context, id banger.VMID, end vmm.MachineEnd) error
	// TakeIn and TakeInFromDisk give those sessions their records that have none: of
	// a guest that is up, and of a machine that has ended. Of a guest that is shared,
	// those are left out that are known to be another installation's.
	TakeIn(ctx context.Context, id banger.VMID, g guestapi.Guest, shared bool) error
	TakeInFromDisk(ctx context.Context, id banger.VMID, end vmm.MachineEnd) error
}

// Config is what a Service is made of; every field but Restored is needed.
type Config struct {
	Store    Store
	Images   Images
	Disks    Disks
	Initrds  Initrds
	Drivers  vmm.Drivers
	Links    Links
	Sessions Sessions
	Paths    paths.Paths
	// Restored says that the records may be older than what they are of: the store is
	// not the one that the last daemon used.
	Restored bool
	// ClientKey is the authorized_keys line by which guests know the host.
	ClientKey string
	Log       *slog.Logger
}

// Service implements banger.VMService. Its machines outlive it.
type Service struct {
	Config

	// Runs continue when the client that asked for them has gone, until Close.
	ctx    context.Context
	cancel context.CancelFunc
	stops  sync.WaitGroup // of machines that are being ended, and what else continues until Close
	starts sync.WaitGroup // of VMs that start with the host

	locks keylock.Locks[banger.VMID] // each is held by whoever changes the VM
	mu    sync.Mutex                 // guards runs
	runs  map[banger.VMID]*run       // of machines that may be running
}

// New returns a service whose runs end with Close, whatever becomes of ctx: calls that
// the end of a daemon breaks off must not see their guests go first. Adopt must be
// called before anything else.
func New(ctx context.Context, c Config) *Service {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Service{Config: c, ctx: ctx, cancel: cancel, runs: map[banger.VMID]*run{}}
	s.Store = filed{c.Store, s}
	return s
}

// Close lets go of all machines, which run on, and waits until that is done. Who calls
// the service has ended before.
func (s *Service) Close() error {
	s.cancel()
	s.starts.Wait()
	for _, r := range s.allRuns() {
		<-r.released
	}
	s.stops.Wait()
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
	return records.Resolve("vm", ref, vms)
}

// now is the time of a record.
func now() time.Time { return time.Now().UTC() }
