package daemon

import (
	"context"
	"slices"

	"banger"
	"banger/internal/diskusage"
)

// diskUsage implements banger.DiskService.
type diskUsage struct{ of *Daemon }

// DiskUsage implements banger.DiskService.
func (u diskUsage) DiskUsage(ctx context.Context) (banger.DiskUsage, error) {
	d := u.of
	vms, err := d.Store.VMs.ListVMs(ctx)
	if err != nil {
		return banger.DiskUsage{}, err
	}
	images, err := d.Images.DiskUsage(ctx, vms)
	if err != nil {
		return banger.DiskUsage{}, err
	}
	kernels, err := d.Kernels.DiskUsage(ctx)
	if err != nil {
		return banger.DiskUsage{}, err
	}
	homes, err := d.VMs.VMs.DiskUsage(vms)
	if err != nil {
		return banger.DiskUsage{}, err
	}
	trash, err := d.VMs.Trash.DiskUsage(ctx)
	return diskusage.Report(slices.Concat(images, kernels, homes, trash)), err
}
