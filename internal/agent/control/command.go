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
	reason string
	rawLog string
}

// findCommands returns the path of the command. It fails with all commands that
// are missing, the required ones too.
func findCommands(l banger.Launch, p plan) (string, *launchFailure) {
	path, missing := lookPath(string(l.Command), p)
	var reasons, raw []string
	note := func(what string, name banger.ByteString, m *missingCommand) {
		if m != nil {
			reasons = append(reasons, fmt.Sprintf("%s %q %s", what, string(name), m.reason))
			raw = append(raw, m.rawLog)
		}
	}
	note("command", l.Command, missing)
	for _, name := range l.RequiredCommands {
		_, missing := lookPath(string(name), p)
		note("required command", name, missing)
	}
	if len(reasons) > 0 {
		return "", &launchFailure{
			stage:   banger.StagePreflightCommand,
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
		if refused == nil && missing.reason != notFound {
			refused = missing
		}
	}
	if refused != nil {
		return "", refused
	}
	return "", &missingCommand{fmt.Sprintf("was not found in PATH %q", p.env["PATH"]), strings.Join(tried, "\n")}
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

const notFound = "does not exist"

// executable returns nil if path can be executed with the rights of this thread.
func executable(path string, p plan) *missingCommand {
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() {
		err = mayExecute(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &missingCommand{notFound, err.Error()}
	case errors.Is(err, fs.ErrPermission):
		return &missingCommand{fmt.Sprintf("is not executable: %s, by user %q", path, p.user.Name), err.Error()}
	case err != nil: // such as ENOTDIR: there is no such file either
		return &missingCommand{notFound, err.Error()}
	case info.IsDir():
		return &missingCommand{fmt.Sprintf("is not executable: %s is a directory", path), info.Mode().String() + " " + path}
	case !info.Mode().IsRegular():
		return &missingCommand{fmt.Sprintf("is not executable: %s is not a regular file", path), info.Mode().String() + " " + path}
	}
	return nil
}
