package qemu

import "context"

// keep moves the processes of a machine that has not begun where they live longest. Later
// would be too late: as seen with Linux 6.1, a thread that KVM has in the kernel stays in the
// group in which the machine began, which is then not empty before the machine has ended. A
// machine that could not be moved runs on where it is, and its record says what that means.
func (d *Driver) keep(ctx context.Context, r record) {
	if d.config.Cgroups == nil {
		return
	}
	if _, err := d.config.Cgroups.Keep(ctx, []int{r.Process.PID, r.Scribe.PID}, r.Name+".scope", "banger VM "+r.VM); err != nil {
		d.log.Warn("cannot give machine a scope of its own", "machine", r.Name, "cause", err)
	}
}

// endsWith says what ends a machine without a request, and what helps.
func (d *Driver) endsWith(pid int) string {
	if d.config.Cgroups == nil {
		return ""
	}
	threat, remedy, err := d.config.Cgroups.Threat(pid)
	if err != nil {
		d.log.Warn("cannot tell what ends a machine", "pid", pid, "cause", err)
	}
	if threat != "" && remedy != "" {
		threat += "; to keep it: " + remedy
	}
	return threat
}
