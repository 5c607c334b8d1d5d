package daemon

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"banger"
	"banger/internal/filelock"
	"banger/internal/hostid"
	"banger/internal/paths"
	"banger/internal/store"
	"banger/internal/vmm"
)

// claimState makes sure that the state is this host's alone and that locks hold in it. Over a
// network neither can be known by the file system's name, so one is written down and the other
// tried: another host is refused by its identity, though its locks may not be seen here.
func claimState(p paths.Paths) error {
	if err := filelock.Prove(p.State); err != nil {
		return banger.Errorf(banger.CodeInvalid, "cannot keep state in %s: %w", p.State, err).
			WithHint("set XDG_STATE_HOME to a directory on a disk of this host")
	}
	here, err := hostid.Here()
	if err != nil {
		return err
	}
	return hostid.Claim(p.Claim(), here)
}

// releaseState leaves the state to whatever host is next, unless a machine of this one may run.
func releaseState(ctx context.Context, p paths.Paths, vms *store.VMs, drivers vmm.Drivers) error {
	all, err := vms.ListVMs(ctx)
	if err != nil {
		return err
	}
	for _, vm := range all {
		if !drivers.Standing(vm) && (vm.Machine != nil || vm.State != banger.VMStopped) {
			return nil
		}
	}
	if err := os.Remove(p.Claim()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// checkHostOfState tells whose the state is.
func checkHostOfState(p paths.Paths) banger.Check {
	c := banger.Check{Name: "state of this host", Status: banger.CheckOK}
	owner, err := hostid.Read(p.Claim())
	if err == nil {
		err = filelock.Prove(p.State)
	}
	if err != nil {
		c.Status, c.Detail = banger.CheckFail, err.Error()
		c.Hint = "set XDG_STATE_HOME to a directory on a disk of this host"
		return c
	}
	c.Detail = p.State + " is in use by " + owner.Name + " alone, and locks hold in it"
	return c
}
