// Package systemd keeps processes that outlive a login out of the control groups that
// end with it, where systemd runs the host. Everywhere else it does nothing.
package systemd

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// The units that banger ships: that of a user's own manager, and the template of the
// system's, whose instance is the user.
const (
	UserUnit   = "banger.service"
	SystemUnit = "banger@%s.service"
)

// callLimit bounds one conversation with a manager that answers. A start of the daemon's
// unit has the caller's own limit.
const callLimit = 10 * time.Second

// manager is a service manager, reached by its private socket as systemctl(1) does: a
// user's own may have no message bus (Debian's dbus-user-session).
type manager string

// managerOf returns that of a user: root's is the system's. "" if none answers here.
func managerOf(uid int) manager {
	socket := "/run/systemd/private"
	if uid != 0 {
		socket = "/run/user/" + strconv.Itoa(uid) + "/systemd/private"
	}
	if _, err := os.Stat(socket); err != nil {
		return ""
	}
	return manager(socket)
}

func (m manager) connect(ctx context.Context) (*sd.Conn, error) {
	return sd.NewConnection(func() (*dbus.Conn, error) {
		conn, err := dbus.Dial("unix:path="+string(m), dbus.WithContext(ctx))
		if err != nil {
			return nil, err
		}
		if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return conn, nil
	})
}

// startScope makes a scope with processes in it; it ends with the last of them.
func (m manager) startScope(ctx context.Context, pids []int, unit, description string) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	conn, err := m.connect(ctx)
	if err != nil {
		return fmt.Errorf("cannot reach service manager: %w", err)
	}
	defer conn.Close()
	var members []uint32
	for _, pid := range pids {
		members = append(members, uint32(pid)) //nolint:gosec // as the kernel has them
	}
	properties := []sd.Property{
		sd.PropDescription(description),
		sd.PropPids(members...),
		// Else a machine that was killed would leave a failed unit behind.
		{Name: "CollectMode", Value: dbus.MakeVariant("inactive-or-failed")},
		// Rather something that is not somebody's running work; systemd-oomd(8).
		{Name: "ManagedOOMPreference", Value: dbus.MakeVariant("avoid")},
	}
	done := make(chan string, 1)
	if _, err := conn.StartTransientUnitContext(ctx, unit, "fail", properties, done); err != nil {
		return fmt.Errorf("cannot start %s: %w", unit, err)
	}
	return await(ctx, unit, done)
}

// startEnabled starts a unit if it is enabled, and reports whether it was.
func (m manager) startEnabled(ctx context.Context, unit string) (bool, error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return false, fmt.Errorf("cannot reach service manager: %w", err)
	}
	defer conn.Close()
	state, err := conn.GetUnitPropertyContext(ctx, unit, "UnitFileState")
	if err != nil || state.Value.Value() != "enabled" {
		return false, err
	}
	done := make(chan string, 1)
	if _, err := conn.StartUnitContext(ctx, unit, "replace", done); err != nil {
		return true, fmt.Errorf("cannot start %s: %w", unit, err)
	}
	return true, await(ctx, unit, done)
}

// await waits for the end of a job, whose result is "done" if it went well.
func await(ctx context.Context, unit string, done <-chan string) error {
	select {
	case result := <-done:
		if result != "done" {
			return fmt.Errorf("cannot start %s: its job is %s", unit, result)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot start %s: %w", unit, context.Cause(ctx))
	}
}
