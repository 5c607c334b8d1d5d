package qemu

import (
	"context"
	"os/exec"
	"strconv"

	"banger"
	"banger/internal/confine"
)

// Checks reports what this driver finds on the host. If kernel is not "", KVM is
// tried with it, which takes some seconds once per boot of the host.
func (d *Driver) Checks(ctx context.Context, kernel string) []banger.Check {
	return []banger.Check{d.checkQEMU(ctx), d.checkKVM(ctx, kernel), checkConfinement(confine.Supported())}
}

// The versions of Landlock's interface from which it can forbid what it could not before.
const (
	landlockSignals = 6 // and abstract sockets
	landlockSockets = 9 // connecting to a socket in the file system
)

// checkConfinement reports what keeps a QEMU or an e2fsck that a guest has taken over from
// the user's files; version is that of the kernel's Landlock, 0 for none.
func checkConfinement(version int) banger.Check {
	c := banger.Check{Name: "confinement", Status: banger.CheckOK}
	switch {
	case version == 0:
		c.Status = banger.CheckWarn
		c.Detail = "the kernel has no Landlock: QEMU and e2fsck gain no privileges, but a guest that takes one over has all files of this user"
		c.Hint = "run a kernel of 5.13 or later, with landlock in the lsm= of its command line"
	case version < landlockSignals:
		c.Detail = "QEMU and e2fsck reach only their machine's files (Landlock " + strconv.Itoa(version) + "); they may still signal other programs, and use this user's sockets"
	case version < landlockSockets:
		c.Detail = "QEMU and e2fsck reach only their machine's files (Landlock " + strconv.Itoa(version) + "); they may still use this user's sockets, such as that of an ssh-agent"
	default:
		c.Detail = "QEMU and e2fsck reach only their machine's files and sockets (Landlock " + strconv.Itoa(version) + ")"
	}
	return c
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
	c.Detail, c.Hint = v.Reason+"; guests are emulated (TCG): about ten times slower, and no boundary that QEMU vouches for, so run nothing there that you would not run as yourself", v.Hint
	return c
}
