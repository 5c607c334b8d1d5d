package qemu

import (
	"context"
	"os/exec"

	"banger"
)

// Checks tells what this driver finds on the host. If kernel is not "", KVM is
// tried with it, which takes some seconds once per boot of the host.
func (d *Driver) Checks(ctx context.Context, kernel string) []banger.Check {
	return []banger.Check{d.checkQEMU(ctx), d.checkKVM(ctx, kernel)}
}

func (d *Driver) checkQEMU(ctx context.Context) banger.Check {
	c := banger.Check{Name: "qemu"}
	path, err := findBinary(d.config.Binary)
	if err != nil {
		c.Status, c.Detail, c.Hint = banger.CheckFail, err.Error(), "apt-get install "+debianPackage
		return c
	}
	version, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		c.Status, c.Detail, c.Hint = banger.CheckFail, path+" does not run: "+err.Error(), "apt-get install --reinstall "+debianPackage
		return c
	}
	c.Status, c.Detail = banger.CheckOK, firstLine(string(version))
	return c
}

func (d *Driver) checkKVM(ctx context.Context, kernel string) banger.Check {
	c := banger.Check{Name: "kvm", Status: banger.CheckWarn}
	v := d.kvm.deviceVerdict()
	if v.Usable {
		if kernel == "" {
			c.Detail, c.Hint = "not tried yet: that needs a kernel", "banger image build"
			return c
		}
		var err error
		if v, err = d.kvm.verdict(ctx, kernel); err != nil {
			c.Detail = err.Error()
			return c
		}
	}
	if v.Usable {
		c.Status, c.Detail = banger.CheckOK, v.Reason
		return c
	}
	c.Detail, c.Hint = v.Reason+"; guests are emulated (TCG), which is about ten times slower", v.Hint
	return c
}
