package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"banger"
	"banger/internal/agent/passwd"
	"banger/internal/guestapi"
)

// plan is a launch of which everything has been found.
type plan struct {
	user passwd.User
	env  map[string]string
	cwd  string
	path string // of the executable
	name string // argv[0]
}

// launchFailure says why a launch did not happen.
type launchFailure struct {
	stage   banger.LaunchStage
	cause   banger.LaunchCause
	message string
	rawLog  string // what the system said
}

// preflight finds all that a launch needs before anything runs.
type preflight struct {
	users passwd.DB
	login []string // as Config.Login
}

// plan finds it with the rights of the session's user.
func (f *preflight) plan(l guestapi.GuestLaunch) (plan, *launchFailure) {
	user, err := f.user(l.User)
	name := user.Name
	if err != nil {
		name = l.User
	}
	switch {
	case errors.Is(err, passwd.ErrUnknown):
		return plan{}, &launchFailure{stage: banger.StageLaunch, message: fmt.Sprintf("cannot start session: the guest has no user %q", name), rawLog: err.Error()}
	case err != nil:
		return plan{}, &launchFailure{stage: banger.StageLaunch, message: fmt.Sprintf("cannot start session as user %q: %v", name, err), rawLog: err.Error()}
	}
	p := plan{user: user, env: f.environment(l, user)}
	var failure *launchFailure
	command := string(l.Command)
	p.name = command
	if l.LoginShell {
		command = user.Shell
		p.name = "-" + path.Base(command) // login(1), POSIX.1-2017, sh
	}
	err = asUser(user, func() {
		if p.cwd, failure = findCwd(string(l.Cwd), user); failure == nil {
			p.path, failure = findCommands(command, l.Launch, p)
		}
	})
	if err != nil {
		failure = &launchFailure{stage: banger.StageLaunch, message: fmt.Sprintf("cannot start session as user %q: %v", name, err), rawLog: err.Error()}
	}
	return p, failure
}

// user returns who runs a session. Who names nobody means root, or on a host where
// this process is not root's, the user whose it is.
func (f *preflight) user(name string) (passwd.User, error) {
	switch {
	case name != "":
		return f.users.Resolve(name)
	case os.Geteuid() == 0:
		return f.users.Lookup("root")
	}
	return f.users.Current()
}

// findCwd returns the directory in which the command starts. As at a login, a home
// that cannot be entered is replaced by the root directory; a directory that was asked
// for is not.
func findCwd(asked string, user passwd.User) (string, *launchFailure) {
	cwd := asked
	if cwd == "" {
		cwd = user.Home
	}
	info, err := os.Stat(cwd)
	if err == nil && info.IsDir() {
		err = mayExecute(cwd)
	}
	var cause string
	switch {
	case errors.Is(err, fs.ErrNotExist):
		cause = "it does not exist"
	case errors.Is(err, fs.ErrPermission):
		cause = fmt.Sprintf("user %q may not enter it", user.Name)
	case err != nil:
		cause = err.Error()
	case !info.IsDir():
		cause, err = "it is not a directory", errors.New(info.Mode().String()+" "+cwd)
	default:
		return cwd, nil
	}
	if asked == "" {
		return "/", nil
	}
	return "", &launchFailure{stage: banger.StagePreflightCwd, message: fmt.Sprintf("cannot start session in directory %q: %s", cwd, cause), rawLog: err.Error()}
}
