package session

import (
	"cmp"
	"maps"
	"path"
	"slices"

	"banger"
)

// withImage returns a request with what the author of the VM's image has chosen, where it
// chooses nothing, as podman-run(1) and podman-exec(1) do: variables, user and working
// directory for every session; entry point, command and stop signal for one without a command
// of its own, whose arguments, if it has any, replace those of the image. c may be nil.
func withImage(r banger.SessionRequest, c *banger.ImageConfig) banger.SessionRequest {
	if c == nil {
		return r
	}
	if r.Command == "" && !r.LoginShell {
		if argv := imageCommand(r.Args, c); len(argv) > 0 {
			r.Command, r.Args = argv[0], argv[1:]
			r.StopSignal = cmp.Or(r.StopSignal, c.StopSignal)
		}
	}
	if r.Cwd == "" && c.WorkingDir != "" {
		r.Cwd = banger.ByteString(path.Join("/", c.WorkingDir))
	}
	if r.User == "" {
		r.User = c.User
	}
	env := c.Environment()
	for name := range r.SecretEnv {
		delete(env, name)
	}
	maps.Copy(env, r.Env)
	if len(env) > 0 {
		r.Env = env
	}
	return r
}

// imageCommand returns what an image runs: its entry point, unless that is only an empty
// word, with the given arguments, else with its own.
func imageCommand(given []banger.ByteString, c *banger.ImageConfig) []banger.ByteString {
	var argv []banger.ByteString
	if !slices.Equal(c.Entrypoint, []string{""}) {
		argv = banger.ByteStrings(c.Entrypoint)
	}
	if len(given) > 0 {
		return append(argv, given...)
	}
	return append(argv, banger.ByteStrings(c.Cmd)...)
}
