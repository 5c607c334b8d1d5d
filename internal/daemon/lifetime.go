package daemon

import (
	"context"

	"banger"
)

// checkLifetime says what on the host would end machines without a request.
func (h *host) checkLifetime(ctx context.Context) banger.Check {
	c := banger.Check{Name: "lifetime", Status: banger.CheckOK, Detail: "only a shutdown of the host ends a VM without a request"}
	threat, remedy, err := h.Cgroups.NextThreat()
	if err != nil {
		c.Status, c.Detail = banger.CheckWarn, err.Error()
		return c
	}
	if threat != "" {
		c.Status, c.Detail, c.Hint = banger.CheckWarn, "a VM that is started now ends with "+threat, remedy
		return c
	}
	vms, err := h.store.VMs.ListVMs(ctx)
	if err != nil {
		c.Status, c.Detail = banger.CheckWarn, err.Error()
		return c
	}
	for _, vm := range vms {
		if vm.EndsWith != "" {
			c.Status, c.Detail = banger.CheckWarn, "VM "+vm.Name+" ends with "+vm.EndsWith
			c.Hint = "once that is mended: banger vm restart " + vm.Name
		}
	}
	return c
}
