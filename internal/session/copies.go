package session

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"sync"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestconfig"
	"banger/internal/transfer"
)

// GuestFiles reads the files of VMs that do not run; machine.DiskReader does.
type GuestFiles interface {
	// ReadFiles calls f with the files of a VM that is not started meanwhile. unclean says
	// that its disks were not unmounted. A VM that runs is CodeState.
	ReadFiles(ctx context.Context, id banger.VMID, f func(ctx context.Context, files fs.FS, unclean bool) error) error
}

// Copies lets clients copy files to and from VMs.
type Copies struct {
	finder *finder
	reach  *reach
	files  GuestFiles
	ctx    context.Context // they end with it
}

// NewCopies returns the service that copies files. It ends with s.
func NewCopies(s *Services, files GuestFiles) *Copies {
	return &Copies{finder: s.finder, reach: s.reach, files: files, ctx: s.tasks.ctx}
}

// CopyFiles finds a VM and returns what serves one copy on a connection: the protocol of
// package transfer is spoken there. Of a VM that does not run, files can only be read.
//
// serve returns, and has closed conn, when the copy has ended, or ctx has.
func (c *Copies) CopyFiles(ctx context.Context, vmRef string) (serve func(ctx context.Context, conn net.Conn), err error) {
	vm, err := c.finder.vm(ctx, vmRef)
	if err != nil {
		return nil, err
	}
	var guest guestapi.Guest
	err = c.reach.withGuest(ctx, vm.ID, func(g guestapi.Guest) error { guest = g; return nil })
	if banger.CodeOf(err) == banger.CodeState && (vm.State == banger.VMStopped || vm.State == banger.VMFailed) {
		notRunning := err
		return func(ctx context.Context, conn net.Conn) { c.serveDisk(ctx, conn, vm, notRunning) }, nil
	}
	if err != nil {
		return nil, err
	}
	starting, cancel := context.WithTimeout(ctx, copyStart)
	defer cancel()
	files, err := guest.Copy(starting)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, conn net.Conn) { c.relay(ctx, conn, files) }, nil
}

// copyStart is how long a guest may take to start its part of a copy.
const copyStart = 30 * time.Second

// copyBuffer is what a relay holds for each direction.
const copyBuffer = 128 << 10

// relay carries bytes between a client and the guest's part of a copy, until that has said
// its last, or either has gone.
func (c *Copies) relay(ctx context.Context, conn, guest net.Conn) {
	var sending sync.WaitGroup
	defer sending.Wait()
	end := func() { conn.Close(); guest.Close() }
	defer end()
	_, release := c.until(ctx, end)
	defer release()
	sending.Go(func() {
		_, err := io.CopyBuffer(onlyWriter{guest}, onlyReader{conn}, make([]byte, copyBuffer))
		if half, ok := guest.(interface{ CloseWrite() error }); ok && err == nil {
			err = half.CloseWrite()
		}
		if err != nil {
			guest.Close()
		}
	})
	_, _ = io.CopyBuffer(onlyWriter{conn}, onlyReader{guest}, make([]byte, copyBuffer))
}

// until returns a context that ends with the service, too, and calls end when it does, until
// release is called.
func (c *Copies) until(ctx context.Context, end func()) (until context.Context, release func()) {
	ctx, cancel := context.WithCancel(ctx)
	closing := context.AfterFunc(c.ctx, cancel)
	unblock := context.AfterFunc(ctx, end)
	return ctx, func() {
		unblock()
		closing()
		cancel()
	}
}

// onlyReader and onlyWriter hide what else a connection can do, which would have io.Copy
// choose a smaller buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// serveDisk serves a copy out of a VM that does not run. notRunning is what a write gets.
func (c *Copies) serveDisk(ctx context.Context, conn net.Conn, vm banger.VM, notRunning error) {
	defer conn.Close()
	ctx, release := c.until(ctx, func() { conn.Close() })
	defer release()
	read := func(r transfer.Request, f func(context.Context, *transfer.Opened) error) error {
		return c.files.ReadFiles(ctx, vm.ID, func(ctx context.Context, files fs.FS, unclean bool) error {
			o, err := openOnDisk(files, r)
			if err != nil {
				return err
			}
			defer o.Close()
			if unclean {
				o.Note = "the disks of VM " + vm.Name + " were not unmounted, as after a crash: what its guest had not synced may be missing"
			}
			return f(ctx, o)
		})
	}
	_ = transfer.Server{Read: read, Refusal: notRunning}.Serve(ctx, &steady{conn})
}

// openOnDisk finds a source among the files of a VM that does not run.
func openOnDisk(files fs.FS, r transfer.Request) (*transfer.Opened, error) {
	tree, ok := files.(transfer.Tree)
	if !ok {
		return nil, errors.New("the disks cannot be read")
	}
	if r.User != "" {
		return nil, banger.Errorf(banger.CodeState, "cannot read as user %q: the VM is not running", r.User)
	}
	path, atHome := r.Begins()
	if atHome {
		path = guestconfig.WorkDir + "/" + path
	}
	return transfer.OpenTree(tree, path, r.Follow)
}

// stalled is how long a client may read nothing. While a disk is read, its VM cannot be
// started.
const stalled = time.Minute

// steady is a connection to a client who must not stop reading.
type steady struct{ net.Conn }

func (s *steady) Write(p []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(stalled)); err != nil {
		return 0, err
	}
	return s.Conn.Write(p)
}
