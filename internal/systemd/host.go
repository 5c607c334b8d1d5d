package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/godbus/dbus/v5"
)

// Host is what one user finds of systemd on this host. Safe for concurrent use.
type Host struct {
	uid  int
	name string // of the user; "" if nobody knows it
}

// NewHost returns what this process's user finds. It asks nobody yet: a manager comes
// and goes with the user's logins.
func NewHost() *Host {
	h := &Host{uid: os.Geteuid()}
	if u, err := user.LookupId(strconv.Itoa(h.uid)); err == nil {
		h.name = u.Username
	}
	return h
}

// Keep moves processes of this user that are together into a scope of their own if they
// live longer there:
// of root's, always; of another user's, if the user lingers or the process belongs to
// the user's manager anyway. Without linger that manager ends after the last logout,
// and what a session has left behind does not: it stays. moved is false where nothing
// was to be done. The unit's name is "banger-", something that nobody else has, and
// ".scope".
func (h *Host) Keep(ctx context.Context, pids []int, unit, description string) (moved bool, err error) {
	m := managerOf(h.uid)
	if m == "" {
		return false, nil
	}
	p, err := placeOf(pids[0])
	if err != nil || !h.betterOff(p) || p.unit() == unit {
		return false, err
	}
	if err := m.startScope(ctx, pids, unit, description); err != nil {
		return false, err
	}
	return true, nil
}

// betterOff reports whether a process at p lives longer in a scope of the manager.
func (h *Host) betterOff(p place) bool {
	return h.uid == 0 || h.lingers() || p.inUserManager(h.uid)
}

// StartService starts the service that is shipped if it is enabled and a process that
// runs here would move to its manager; started is false if not.
func (h *Host) StartService(ctx context.Context) (started bool, err error) {
	m := managerOf(h.uid)
	if m == "" {
		return false, nil
	}
	p, err := placeOf(os.Getpid())
	if err != nil || !h.betterOff(p) {
		return false, err
	}
	return m.startEnabled(ctx, h.serviceUnit())
}

// serviceUnit is the unit of the daemon in the user's manager.
func (h *Host) serviceUnit() string {
	if h.uid == 0 {
		return fmt.Sprintf(SystemUnit, "root")
	}
	return UserUnit
}

// lingers reports whether the user's manager outlives the last logout; loginctl(1).
func (h *Host) lingers() bool {
	if h.name == "" {
		return false
	}
	_, err := os.Stat(filepath.Join("/var/lib/systemd/linger", h.name))
	return err == nil
}

// killsAtLogout reports whether logind ends what a session leaves behind; logind.conf(5).
func killsAtLogout() bool {
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		return false
	}
	defer conn.Close()
	logind := conn.Object("org.freedesktop.login1", "/org/freedesktop/login1")
	v, err := logind.GetProperty("org.freedesktop.login1.Manager.KillUserProcesses")
	kills, ok := v.Value().(bool)
	return err == nil && ok && kills
}

// Threat says what on the host ends a process before anybody asked for it, and what
// helps. Both are "" if nothing does but the host's own end.
func (h *Host) Threat(pid int) (threat, remedy string, err error) {
	p, err := placeOf(pid)
	if errors.Is(err, fs.ErrNotExist) || !booted() {
		return "", "", nil // it has ended, or nobody else decides
	}
	if err != nil {
		return "", "", err
	}
	threat, remedy = h.threat(p, h.lingers(), killsAtLogout)
	return threat, remedy, nil
}

// NextThreat is Threat of a process that this one would start and Keep.
func (h *Host) NextThreat() (threat, remedy string, err error) {
	p, err := placeOf(os.Getpid())
	if err != nil || !booted() {
		return "", "", err
	}
	if managerOf(h.uid) != "" && h.betterOff(p) {
		p = h.scope("banger-next.scope")
	}
	threat, remedy = h.threat(p, h.lingers(), killsAtLogout)
	return threat, remedy, nil
}

// booted reports whether systemd runs this host; sd_booted(3).
func booted() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// scope is the place of a scope in the user's manager.
func (h *Host) scope(name string) place {
	if h.uid == 0 {
		return place("/system.slice/" + name)
	}
	return place(fmt.Sprintf("/user.slice/user-%d.slice/user@%d.service/app.slice/%s", h.uid, h.uid, name))
}

// threat judges a place.
func (h *Host) threat(p place, lingers bool, killsAtLogout func() bool) (threat, remedy string) {
	linger := "loginctl enable-linger" // as polkit allows everybody for oneself
	if h.name != "" {
		linger += ", or as root: loginctl enable-linger " + h.name
	}
	unit := p.unit()
	switch {
	case p.inSession():
		if killsAtLogout() {
			return "the end of the login session (KillUserProcesses=yes in logind.conf)", linger
		}
	case p.inUserManager(h.uid) && h.uid != 0 && !lingers:
		return "the last logout of " + h.user(), linger
	case unit != "" && !ours(unit) && unit != "init.scope":
		if h.uid == 0 || lingers {
			return "the end of " + unit, "" // no manager has answered
		}
		return "the end of " + unit, linger
	}
	return "", ""
}

func (h *Host) user() string {
	if h.name != "" {
		return h.name
	}
	return "uid " + strconv.Itoa(h.uid)
}
