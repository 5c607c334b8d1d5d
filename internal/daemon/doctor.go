package daemon

import (
	"context"
	"fmt"

	"banger"
	"banger/internal/machine"
	"banger/internal/store"
)

// checkTrash reports what is in the trash.
func (h *host) checkTrash(ctx context.Context) banger.Check {
	c := banger.Check{Name: "trash", Status: banger.CheckOK, Detail: "nothing is in it"}
	trash, err := h.vms.Trash.ListTrash(ctx)
	if err != nil {
		c.Status, c.Detail = banger.CheckWarn, err.Error()
		return c
	}
	var bytes int64
	for _, t := range trash {
		bytes += t.Bytes
	}
	if len(trash) > 0 {
		c.Detail = fmt.Sprintf("%s has %d directories that no VM is known by, with %.1f MiB", h.paths.VMTrash(), len(trash), float64(bytes)/(1<<20))
		c.Hint = fmt.Sprintf("banger vm gc --dry-run says what they are, banger vm gc removes them; each is removed after %d days", int(machine.TrashTime.Hours())/24)
	}
	return c
}

// checkCopies reports the copies of the store.
func (h *host) checkCopies() banger.Check {
	c := banger.Check{Name: "store copies", Status: banger.CheckOK}
	path, at, err := store.NewestCopy(h.paths.Database())
	switch {
	case err != nil:
		c.Status, c.Detail = banger.CheckWarn, "cannot look for them: "+err.Error()
	case path == "":
		c.Status, c.Detail = banger.CheckWarn, "there is none yet"
		c.Hint = "one is made each day, and soon after the daemon's first start, if the disk has room; the daemon's log says if not"
	default:
		c.Detail = fmt.Sprintf("the newest is %s, of %s", path, at.Format("2006-01-02 15:04 MST"))
	}
	return c
}

// checkKernels reads all kernels.
func (h *host) checkKernels(ctx context.Context) ([]banger.Check, error) {
	kernels, err := h.kernels.ListKernels(ctx)
	if err != nil {
		return nil, err
	}
	var checks []banger.Check
	for _, k := range kernels {
		c := banger.Check{Name: "kernel " + string(k.ID), Status: banger.CheckOK, Detail: k.Release + " is as it came"}
		if err := h.kernels.Verify(k.ID); err != nil {
			c.Status, c.Detail = banger.CheckFail, err.Error()
			c.Hint = "VMs that boot it are not to be trusted until it is pulled again"
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		checks = append(checks, c)
	}
	return checks, nil
}

// checkImages reads all images.
func (h *host) checkImages(ctx context.Context) ([]banger.Check, error) {
	images, err := h.images.ListImages(ctx)
	if err != nil {
		return nil, err
	}
	var checks []banger.Check
	for _, i := range images {
		c := banger.Check{Name: "image " + string(i.ID), Status: banger.CheckOK, Detail: i.Name + " is as it was built"}
		if i.Name == "" {
			c.Detail = "it is as it was built"
		}
		if err := h.images.Verify(ctx, i.ID); err != nil {
			c.Status, c.Detail = banger.CheckFail, err.Error()
			c.Hint = "VMs of it are not to be trusted until it is built again"
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		checks = append(checks, c)
	}
	return checks, nil
}
