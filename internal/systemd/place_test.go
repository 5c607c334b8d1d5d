package systemd

import "testing"

func TestPlace_IsFoundInBothVersionsOfControlGroups(t *testing.T) {
	for _, c := range []struct {
		cgroup string
		want   place
		unit   string
	}{
		{"0::/user.slice/user-1000.slice/session-4.scope\n", "/user.slice/user-1000.slice/session-4.scope", "session-4.scope"},
		{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope/b\n", "/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope/b", "a.scope"},
		{"4:memory:/x\n1:name=systemd:/system.slice/cron.service\n0::/\n", "/system.slice/cron.service", "cron.service"},
		{"0::/\n", "/", ""},
		{"0::/with:colon.service\n", "/with:colon.service", "with:colon.service"},
		{"garbage\n", "", ""},
		{"", "", ""},
	} {
		p := parsePlace(c.cgroup)
		if p != c.want || p.unit() != c.unit {
			t.Errorf("%q: place %q, unit %q", c.cgroup, p, p.unit())
		}
	}
}

// What ends a process where, and whether that is said with what helps.
func TestThreat_IsTheEndOfWhateverHasTheProcess(t *testing.T) {
	const (
		session = "/user.slice/user-1000.slice/session-4.scope"
		app     = "/user.slice/user-1000.slice/user@1000.service/app.slice/"
	)
	for _, c := range []struct {
		name            string
		uid             int
		place           place
		lingers, kills  bool
		threat, helpful bool
	}{
		{"a session, as Debian has it", 1000, session, false, false, false, false},
		{"a session whose processes logind kills", 1000, session, true, true, true, true},
		{"a scope of the manager, without linger", 1000, app + "banger-x.scope", false, false, true, true},
		{"a scope of the manager, with linger", 1000, app + "banger-x.scope", true, false, false, false},
		{"the daemon's unit, with linger", 1000, app + UserUnit, true, false, false, false},
		{"a terminal, with linger", 1000, app + "app-terminal.scope", true, false, true, false},
		{"another user's manager", 1001, app + "app-terminal.scope", false, false, true, true},
		{"a CI job", 1000, "/system.slice/runner.service", false, false, true, true},
		{"the system's unit", 1000, "/system.slice/system-banger.slice/banger@me.service", false, false, false, false},
		{"a scope of root's", 0, "/system.slice/banger-x.scope", false, false, false, false},
		{"root in cron", 0, "/system.slice/cron.service", false, false, true, false},
		{"a container", 0, "/", false, false, false, false},
		{"pid 1", 0, "/init.scope", false, false, false, false},
	} {
		h := &Host{uid: c.uid, name: "me"}
		threat, remedy := h.threat(c.place, c.lingers, func() bool { return c.kills })
		if (threat != "") != c.threat || (remedy != "") != c.helpful {
			t.Errorf("%s: threat %q, remedy %q", c.name, threat, remedy)
		}
	}
}

// Without linger a session's leftovers live longer than what the user's manager has.
func TestKeep_LeavesASessionOnlyForAManagerThatLingers(t *testing.T) {
	const session, app = "/user.slice/user-1000.slice/session-4.scope", "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope"
	me, root := &Host{uid: 1000}, &Host{uid: 0} // nobody knows the name, so nobody lingers
	if me.betterOff(session) || me.betterOff("/system.slice/runner.service") {
		t.Error("it would be moved into a manager that ends with the last logout")
	}
	if !me.betterOff(app) || !root.betterOff(session) {
		t.Error("it would stay in a group that ends before its manager does")
	}
}
