package systemd

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// place is the control group of a process, as systemd arranges them: its path
// below the root of systemd's hierarchy.
type place string

// placeOf returns the place of a process; cgroups(7) has the format. In a container
// the path is what the container may see.
func placeOf(pid int) (place, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return "", fmt.Errorf("cannot read control group of process %d: %w", pid, err)
	}
	return parsePlace(string(data)), nil
}

// parsePlace prefers the hierarchy of version 1 that systemd names for itself: where
// there is one, that of version 2 is empty or follows it.
func parsePlace(cgroup string) place {
	var unified place
	for line := range strings.Lines(cgroup) {
		fields := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		switch {
		case len(fields) < 3:
		case fields[1] == "name=systemd":
			return place(fields[2])
		case fields[0] == "0" && fields[1] == "":
			unified = place(fields[2])
		}
	}
	return unified
}

var sessionScope = regexp.MustCompile(`^/user\.slice/user-\d+\.slice/session-[^/]+\.scope(/|$)`)

// inSession reports whether the process belongs to a login session.
func (p place) inSession() bool { return sessionScope.MatchString(string(p)) }

// inUserManager reports whether the process belongs to the manager of a user.
func (p place) inUserManager(uid int) bool {
	return strings.HasPrefix(string(p), fmt.Sprintf("/user.slice/user-%d.slice/user@%d.service/", uid, uid))
}

// unit is the unit that has the process: the innermost service or scope, "" if there
// is none, as in a container.
func (p place) unit() string {
	for dir := string(p); dir != "/" && dir != "." && dir != ""; dir = path.Dir(dir) {
		name := path.Base(dir)
		if strings.HasSuffix(name, ".service") || strings.HasSuffix(name, ".scope") {
			return name
		}
	}
	return ""
}

// ours reports whether a unit ends no machine unless it is meant to: a scope that Keep
// has made, or a service that is shipped, whose KillMode is process.
func ours(unit string) bool {
	return unit == UserUnit ||
		strings.HasPrefix(unit, "banger-") && strings.HasSuffix(unit, ".scope") ||
		strings.HasPrefix(unit, "banger@") && strings.HasSuffix(unit, ".service")
}
