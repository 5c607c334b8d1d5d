// Package machine holds the rules about VMs: it makes their disks, has a driver
// start and adopt their machines, keeps the link to each running guest, and
// records what becomes of them.
package machine

import (
	"context"
	"io/fs"
	"log/slog"
	"sync"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestconfig"
	"banger/internal/keylock"
	"banger/internal/paths"
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
	Roots  []string    // raw ext4s that are stacked, the lowest first; at least one
	User   string      // whose home is on the work disk, beside root's; as in the configuration of an OCI image; "" for nobody
	Kernel KernelFiles // its own, if it has one
}

// Disks makes and reads writable disks; internal/image/ext4 does.
type Disks interface {
	// NewDisk makes a sparse file with an empty ext4 file system.
	NewDisk(ctx context.Context, path string, sizeMiB int, label string) error
	// ReadDisk calls f with the file system of a disk that nobody else uses.
	ReadDisk(ctx context.Context, path string, f func(fs.FS) error) error
	// ReadImage calls f with the file system of an image, which nobody changes.
	ReadImage(ctx context.Context, path string, f func(fs.FS) error) error
}

// Initrds writes initial RAM disks; internal/image/initrd does.
type Initrds interface {
	// WriteVM writes what one boot of one VM needs to path.
	WriteVM(ctx context.Context, path string, kernel KernelFiles, config guestconfig.Config) error
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
	// Guest returns the handler of what the guest in one machine of a VM reports, which is of
	// one epoch.
	Guest(id banger.VMID, epoch banger.Epoch) guestapi.GuestHandler
	// MachineEnded is called before the end of the machine is recorded, and again
	// if that could not be done.
	MachineEnded(ctx context.Context, id banger.VMID, end vmm.MachineEnd) error
	// TakeIn and TakeInFromDisk give those sessions their records that have none: of
	// a guest that is up, and of a machine that has ended. Of a guest that is shared,
	// those are left out that are known to be another installation's.
	TakeIn(ctx context.Context, id banger.VMID, g guestapi.Guest, shared bool) error
	TakeInFromDisk(ctx context.Context, id banger.VMID, end vmm.MachineEnd) error
}

// Config is what Services are made of; every field but Restored is needed.
type Config struct {
	Store          Store
	SessionRecords SessionRecords
	Images         Images
	Kernels        Kernels
	Disks          Disks
	Initrds        Initrds
	Drivers        vmm.Drivers
	Links          Links
	Sessions       Sessions
	Paths          paths.Paths
	// Restored says that the records may be older than what they are of: the store is
	// not the one that the last daemon used.
	Restored bool
	// ClientKey is the authorized_keys line by which guests know the host.
	ClientKey string
	Log       *slog.Logger
}

// Services are those of VMs. Their machines outlive them.
type Services struct {
	VMs     *VMs
	Remotes *Remotes
	Trash   *Trash
	Disks   *DiskReader

	takeover   *takeover
	autostarts *autostarts
	runs       *runs
	tasks      *tasks
}

// New returns services whose runs end with Close, whatever becomes of ctx: calls that
// the end of a daemon breaks off must not see their guests go first. Adopt must be
// called before anything else.
func New(ctx context.Context, c Config) *Services {
	tasks, locks := newTasks(ctx), &keylock.Locks[banger.VMID]{}
	homes, room := &homes{c.Paths}, room{c.Paths.VMs()}
	files := &vmFiles{homes: homes, drivers: c.Drivers}
	store := filed{Store: c.Store, files: files, log: c.Log}
	kernels := kernels{Kernels: c.Kernels, store: store, homes: homes, log: c.Log}
	work := &workDisks{disks: c.Disks, homes: homes}
	reporter := &reporter{store: store, sessions: c.Sessions, drivers: c.Drivers, disks: work, log: c.Log}
	runs := &runs{store: store, links: c.Links, reporter: reporter, room: room, tasks: tasks, log: c.Log, kept: map[banger.VMID]*run{}}
	adopter := &adopter{store: store, drivers: c.Drivers, homes: homes, runs: runs, reporter: reporter, log: c.Log}
	deleter := &deleter{locks: locks, store: store, homes: homes, runs: runs, adopter: adopter, log: c.Log}
	trash := &Trash{paths: c.Paths, drivers: c.Drivers, log: c.Log}
	creator := &creator{store: store, images: c.Images, kernels: kernels, disks: c.Disks, drivers: c.Drivers, homes: homes, files: files, room: room}
	boots := &boots{store: store, images: c.Images, kernels: kernels, initrds: c.Initrds, drivers: c.Drivers, homes: homes, clientKey: c.ClientKey, log: c.Log}
	starter := &starter{locks: locks, store: store, homes: homes, room: room, runs: runs, adopter: adopter, boots: boots}
	stopper := &stopper{locks: locks, store: store, runs: runs, adopter: adopter}
	remotes := &Remotes{locks: locks, store: store, sessions: c.SessionRecords, drivers: c.Drivers, links: c.Links, homes: homes, files: files, runs: runs, deleter: deleter}
	recovery := &recovery{
		store: store, drivers: c.Drivers, homes: homes, files: files, trash: trash, adopter: adopter, deleter: deleter,
		restored: c.Restored, log: c.Log,
	}
	return &Services{
		VMs: &VMs{
			store: store, drivers: c.Drivers, homes: homes, runs: runs, creator: creator, starter: starter, stopper: stopper,
			deleter: deleter, remotes: remotes, clientKeyFile: c.Paths.ClientKey(),
		},
		Remotes:    remotes,
		Trash:      trash,
		Disks:      &DiskReader{locks: locks, store: store, drivers: c.Drivers, adopter: adopter, disks: work, images: c.Images, tasks: tasks},
		takeover:   &takeover{locks: locks, store: store, sessions: c.SessionRecords, drivers: c.Drivers, images: c.Images, kernels: kernels, homes: homes, adopter: adopter, reporter: reporter, recovery: recovery, trash: trash, tasks: tasks, log: c.Log},
		autostarts: &autostarts{store: store, starter: starter, tasks: tasks, log: c.Log},
		runs:       runs,
		tasks:      tasks,
	}
}

// Adopt takes over the machines that an earlier daemon started, records the end
// of those that run no more, and brings records and directories in line. It does not
// wait for guests, nor for long for disks: the ends that are not recorded when it returns
// are recorded after it, and whoever needs such a VM waits for its end alone. A machine that
// cannot be adopted makes its VM a failed one and hinders nobody else.
func (s *Services) Adopt(ctx context.Context) error { return s.takeover.run(ctx) }

// Autostart begins to start the VMs that are to start with the host and that no daemon
// has started since its boot: once a boot, so that one which its user stops stays
// stopped. It returns at once and waits for no guest; Close ends it. A VM that cannot
// be started says so in its record and hinders no other.
func (s *Services) Autostart() { s.autostarts.begin() }

// Close lets go of all machines, which run on, and waits until that is done. Who calls
// the services has ended before.
func (s *Services) Close() error {
	s.tasks.cancel()
	s.tasks.starts.Wait()
	for _, r := range s.runs.all() {
		<-r.released
	}
	s.tasks.work.Wait()
	return nil
}

// tasks are what continues when the client that asked for it has gone, until Close.
type tasks struct {
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup // machines that are being ended, and what else continues
	starts sync.WaitGroup // VMs that start with the host
}

func newTasks(ctx context.Context) *tasks {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	return &tasks{ctx: ctx, cancel: cancel}
}
