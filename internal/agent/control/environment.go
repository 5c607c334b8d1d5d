package control

import (
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"banger"
	"banger/internal/agent/passwd"
	"banger/internal/guestapi"
)

// environment is that of a login, with the launch's own over it.
func (f *preflight) environment(l guestapi.GuestLaunch, user passwd.User) map[string]string {
	env := map[string]string{
		"HOME":    user.Home,
		"USER":    user.Name,
		"LOGNAME": user.Name,
		"SHELL":   user.Shell,
		"PATH":    user.DefaultPath(),
		"LANG":    "C.UTF-8",
	}
	if own := os.Getenv("PATH"); own != "" && os.Geteuid() != 0 {
		env["PATH"] = own // of the user's own login
	}
	if int(user.UID) == os.Geteuid() { // what root's login has is not another user's
		maps.Copy(env, ofLogin(f.login))
	}
	env["BANGER_SESSION_ID"] = string(l.ID)
	if utf8.ValidString(l.Name) && !strings.Contains(l.Name, "\x00") {
		env["BANGER_SESSION_NAME"] = l.Name
	}
	if l.TTY {
		env["TERM"] = "xterm-256color"
	}
	for name, value := range l.Env {
		env[name] = string(value)
	}
	for name, value := range l.SecretEnv {
		env[name] = string(value)
	}
	return env
}

// environ is the environment in the form of environ(7), in a fixed order.
func environ(env map[string]string) []banger.ByteString {
	list := make([]banger.ByteString, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, banger.ByteString(name+"="+env[name]))
	}
	return list
}

// maxLogin bounds what sessions get of the login's environment, in bytes: the limit of
// execve(2) is for the session's own arguments and variables.
const maxLogin = 64 << 10

// ofLogin is what lives longer than one login of its environment.
func ofLogin(environ []string) map[string]string {
	env := map[string]string{}
	size := 0
	for _, variable := range environ {
		name, value, ok := strings.Cut(variable, "=")
		if !ok || name == "" || !utf8.ValidString(name) || belongsToOneLogin(name) || size+len(variable) > maxLogin {
			continue
		}
		size += len(variable)
		env[name] = value
	}
	return env
}

// belongsToOneLogin reports whether a variable describes one login, its terminal, its
// display or its service, and means nothing, or something wrong, when that has ended.
func belongsToOneLogin(name string) bool {
	switch name {
	case "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "WINDOWID", "XDG_SESSION_ID", "XDG_SESSION_TYPE", "XDG_SESSION_CLASS",
		"XDG_SESSION_DESKTOP", "XDG_SEAT", "XDG_VTNR",
		"TERM", "TERMCAP", "COLORTERM", "COLUMNS", "LINES", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TERM_SESSION_ID",
		"TMUX", "TMUX_PANE", "STY", "WINDOW", "ZELLIJ", "ZELLIJ_SESSION_NAME", "ZELLIJ_PANE_ID",
		"GPG_TTY", "GPG_AGENT_INFO", "SHLVL", "PWD", "OLDPWD", "_",
		"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID",
		"MAINPID", "MANAGERPID", "WATCHDOG_PID", "WATCHDOG_USEC", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "CREDENTIALS_DIRECTORY":
		return true
	}
	for _, prefix := range []string{"SSH_", "SUDO_", "VSCODE_", "BANGER_SESSION_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
