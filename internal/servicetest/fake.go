// Package servicetest has the fake of all services, and the suite that holds it to what the
// real ones promise.
package servicetest

import (
	"context"
	"net"
	"strings"
	"sync"

	"banger"
)

// Fake implements all services with records in memory, by the rules of the real ones, but
// without machines, guests and disks: a VM runs when it is started, a session until it is
// stopped. Each call is recorded. A function that is set serves its method instead. The
// exported fields must not be changed while it is in use.
type Fake struct {
	// What it keeps; a session belongs to the VM of its VMID.
	VMs      []banger.VM
	Sessions []banger.Session
	Images   []banger.Image
	Kernels  []banger.Kernel
	Events   []banger.Event
	Revision int64 // of the last event

	// Strict makes it do all that the suite checks. Otherwise a ref that means none of these
	// means the record below, which every call leaves as it is, and requests are not checked:
	// for tests of what lies between a caller and the services.
	Strict  bool
	VM      banger.VM
	Session banger.Session
	Image   banger.Image

	// What it answers.
	Access       banger.SSHAccess
	Console      []byte
	Steps        []string // of AddRemote
	Chunks       []banger.LogChunk
	Progress     []banger.BuildProgress
	Pulls        []banger.PullProgress // of PullImage and ImportImage
	Results      []banger.SearchResult
	SearchEnd    banger.SearchEnd
	Pruned       banger.PruneResult
	PrunedImages banger.ImagePruneResult
	Trash        []banger.Trashed
	Checks       []banger.Check
	Disk         banger.DiskUsage
	Match        banger.Match
	Err          error  // of every call
	Next         string // where the first page of a list ends

	OnCreateVM func(context.Context, banger.VMRequest) (banger.VM, error)
	OnLogin    func(ctx context.Context, vm string, a banger.RemoteAnswers) (banger.VM, error) // AddRemote and UnlockRemote
	OnStart    func(context.Context, banger.SessionRequest) (banger.Session, error)
	OnWait     func(context.Context) (banger.Session, error)
	OnAttach   func(conn net.Conn, number int64)
	OnSend     func(context.Context, banger.SendRequest) (banger.SendResult, error)
	OnLogs     func(context.Context, banger.LogRequest, func(banger.LogChunk) error) error
	OnSearch   func(context.Context, func(banger.SearchResult) error) (banger.SearchEnd, error)
	OnBuild    func(context.Context, func(banger.BuildProgress)) (banger.Image, error)
	OnWatch    func(context.Context, int64, func(banger.Event) error) error
	// OnCall is called with the method and the arguments of each call.
	OnCall func(method string, args ...any)

	mu     sync.Mutex    // guards the records and what follows
	change chan struct{} // closed when a record changes
	calls  []string
}

var _ interface {
	banger.VMService
	banger.RemoteService
	banger.SessionService
	banger.SessionStreams
	banger.SessionControl
	banger.ImageService
	banger.KernelService
	banger.EventService
	banger.HostService
	banger.TrashService
	banger.DiskService
} = (*Fake)(nil)

// Services returns the fake as every service.
func (f *Fake) Services() banger.Services {
	return banger.Services{VMs: f, Remotes: f, Sessions: f, Streams: f, Control: f, Images: f, Kernels: f, Events: f, Host: f, Trash: f, Disk: f}
}

// Calls returns the calls since the last time, each as "Method arguments".
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

// call records a call, locks the records and returns what unlocks them. args are the
// arguments as OnCall gets them.
func (f *Fake) call(text, method string, args ...any) (unlock func()) {
	if f.OnCall != nil {
		f.OnCall(method, args...)
	}
	f.mu.Lock()
	f.calls = append(f.calls, strings.TrimSpace(method+" "+text))
	return f.mu.Unlock
}
