package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

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
}

// launchFailure says why a launch did not happen.
type launchFailure struct {
	stage   banger.LaunchStage
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
		return plan{}, &launchFailure{banger.StageLaunch, fmt.Sprintf("cannot start session: the guest has no user %q", name), err.Error()}
	case err != nil:
		return plan{}, &launchFailure{banger.StageLaunch, fmt.Sprintf("cannot start session as user %q: %v", name, err), err.Error()}
	}
	p := plan{user: user, env: f.environment(l, user)}
	var failure *launchFailure
	err = asUser(user, func() {
		if p.cwd, failure = findCwd(string(l.Cwd), user); failure == nil {
			p.path, failure = findCommands(l.Launch, p)
		}
	})
	if err != nil {
		failure = &launchFailure{banger.StageLaunch, fmt.Sprintf("cannot start session as user %q: %v", name, err), err.Error()}
	}
	return p, failure
}

// user returns who runs a session. Who names nobody means root, or on a host where
// this process is not root's, the user whose it is.
func (f *preflight) user(name string) (passwd.User, error) {
	switch {
	case name != "":
		return f.users.Lookup(name)
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
	return "", &launchFailure{banger.StagePreflightCwd, fmt.Sprintf("cannot start session in directory %q: %s", cwd, cause), err.Error()}
}
