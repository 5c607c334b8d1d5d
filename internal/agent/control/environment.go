package control

import (
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"banger"
	"banger/internal/agent/passwd"
)

// environment is that of a login, with the launch's own over it.
func environment(l banger.GuestLaunch, user passwd.User) map[string]string {
	env := map[string]string{
		"HOME":              user.Home,
		"USER":              user.Name,
		"LOGNAME":           user.Name,
		"SHELL":             user.Shell,
		"PATH":              user.DefaultPath(),
		"LANG":              "C.UTF-8",
		"BANGER_SESSION_ID": string(l.ID),
	}
	if own := os.Getenv("PATH"); own != "" && os.Geteuid() != 0 {
		env["PATH"] = own // of the user's own login
	}
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
