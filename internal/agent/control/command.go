package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"banger"
)

// missingCommand says why a command cannot be executed.
type missingCommand struct {
	cause  banger.LaunchCause
	reason string
	rawLog string
}

// findCommands returns the path of the command of a launch, which may be a login shell. It
// fails with all commands that are missing, the required ones too.
func findCommands(command string, l banger.Launch, p plan) (string, *launchFailure) {
	path, missing := lookPath(command, p)
	var cause banger.LaunchCause // of the command itself
	if missing != nil {
		cause = missing.cause
	}
	var reasons, raw []string
	note := func(what, name string, m *missingCommand) {
		if m != nil {
			reasons = append(reasons, fmt.Sprintf("%s %q %s", what, name, m.reason))
			raw = append(raw, m.rawLog)
		}
	}
	if l.LoginShell {
		note("login shell", command, missing)
	} else {
		note("command", command, missing)
	}
	for _, name := range l.RequiredCommands {
		_, missing := lookPath(string(name), p)
		note("required command", string(name), missing)
	}
	if len(reasons) > 0 {
		return "", &launchFailure{
			stage:   banger.StagePreflightCommand,
			cause:   cause,
			message: "cannot start session: " + strings.Join(reasons, "; "),
			rawLog:  strings.Join(raw, "\n"),
		}
	}
	return path, nil
}

// lookPath finds an executable as execvp(3) does after a chdir to the session's
// directory: a name with a slash is a path, another one is looked for in the
// directories of PATH, where an empty one means the session's directory. What is there
// and cannot be executed does not end the search, but is what the failure reports.
func lookPath(name string, p plan) (string, *missingCommand) {
	if strings.Contains(name, "/") {
		path := inFolder(p.cwd, name)
		return path, executable(path, p)
	}
	var refused *missingCommand
	var tried []string
	for dir := range strings.SplitSeq(p.env["PATH"], ":") {
		path := inFolder(p.cwd, dir) + "/" + name
		missing := executable(path, p)
		if missing == nil {
			return path, nil
		}
		tried = append(tried, missing.rawLog)
		if refused == nil && missing.cause != banger.LaunchCommandNotFound {
			refused = missing
		}
	}
	if refused != nil {
		return "", refused
	}
	return "", &missingCommand{banger.LaunchCommandNotFound, fmt.Sprintf("was not found in PATH %q", p.env["PATH"]), strings.Join(tried, "\n")}
}

// inFolder returns path as it is seen from dir. It does not clean the path, which
// would go astray at "..", behind a symbolic link.
func inFolder(dir, path string) string {
	switch {
	case path == "":
		return dir
	case strings.HasPrefix(path, "/"):
		return path
	default:
		return dir + "/" + path
	}
}

// executable returns nil if path can be executed with the rights of this thread.
func executable(path string, p plan) *missingCommand {
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() {
		err = mayExecute(path)
	}
	refused := func(why, raw string) *missingCommand {
		return &missingCommand{banger.LaunchCommandNotExecutable, "is not executable: " + path + why, raw}
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return refused(fmt.Sprintf(", by user %q", p.user.Name), err.Error())
	case err != nil: // ENOENT, or such as ENOTDIR: there is no such file either
		return &missingCommand{banger.LaunchCommandNotFound, "does not exist", err.Error()}
	case info.IsDir():
		return refused(" is a directory", info.Mode().String()+" "+path)
	case !info.Mode().IsRegular():
		return refused(" is not a regular file", info.Mode().String()+" "+path)
	}
	return nil
}
