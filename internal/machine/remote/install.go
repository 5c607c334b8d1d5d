package remote

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/filesum"
	"banger/internal/guestconfig"
	"banger/internal/sessiondir"
)

// versionBytes is how much of a version's hash names its folder.
const versionBytes = 16

// version is one build of the programs for one architecture.
type version struct {
	Programs
	agentSum, shimSum string // SHA-256
	name              string // of its folder
}

// versions are the builds that were hashed already. Safe for concurrent use.
type versions struct {
	mu    sync.Mutex // guards known
	known map[string]version
}

// version returns the programs for an architecture. The files are hashed once: they
// belong to this daemon's build.
func (d *Driver) version(goarch string) (version, error) {
	d.versions.mu.Lock()
	defer d.versions.mu.Unlock()
	if v, ok := d.versions.known[goarch]; ok {
		return v, nil
	}
	programs, err := d.Programs(goarch)
	if errors.Is(err, fs.ErrNotExist) {
		return version{}, banger.Errorf(banger.CodeMissing, "cannot find the agent for Linux on %s: %w", goarch, err).
			WithHint("build everything with make build, or install it with make install")
	}
	v := version{Programs: programs}
	if err == nil {
		v.agentSum, _, err = filesum.SHA256(programs.Agent)
	}
	if err == nil {
		v.shimSum, _, err = filesum.SHA256(programs.Shim)
	}
	if err != nil {
		return v, fmt.Errorf("cannot read agent: %w", err)
	}
	whole := sha256.Sum256([]byte(v.agentSum + v.shimSum))
	v.name = hex.EncodeToString(whole[:])[:versionBytes]
	if d.versions.known == nil {
		d.versions.known = map[string]version{}
	}
	d.versions.known[goarch] = v
	return v, nil
}

// Install sees to it that the host has this daemon's agent, and returns how that is
// run; see guest.Host. The first time for a version that takes an upload, then two
// round trips.
func (h *host) Install(ctx context.Context, client *ssh.Client) (banger.AgentCommands, error) {
	commands, err := h.install(ctx, client)
	if err != nil {
		err = &banger.StageError{Stage: banger.StageUploadAgent, Err: fmt.Errorf("cannot bring the agent to host %s: %w", h.target, err)}
	}
	return commands, err
}

func (h *host) install(ctx context.Context, client *ssh.Client) (banger.AgentCommands, error) {
	var v version
	// Which programs it needs is known when it has said what it is; mostly it is that.
	guess, err := h.driver.version("amd64")
	if err != nil {
		return banger.AgentCommands{}, err
	}
	f, err := probe(ctx, client, guess.name)
	if err != nil {
		return banger.AgentCommands{}, err
	}
	if v, err = h.driver.version(f.goarch); err != nil {
		return banger.AgentCommands{}, err
	}
	if v.name != guess.name {
		if f, err = probe(ctx, client, v.name); err != nil {
			return banger.AgentCommands{}, err
		}
	}
	dir := f.installed
	if dir == "" {
		if dir, err = upload(ctx, client, v, f.programs); err != nil {
			return banger.AgentCommands{}, err
		}
	}
	return commands(path.Join(dir, v.name), f.state), nil
}

// commands are those of a version in a folder, with the state of sessions in another.
func commands(dir, state string) banger.AgentCommands {
	agent, shim := quote(path.Join(dir, guestconfig.AgentName)), quote(path.Join(dir, guestconfig.ShimName))
	announce := "banger-control-" + rand.Text()
	return banger.AgentCommands{
		Control: "exec " + agent + " control --announce " + announce + " --sessions-dir " + quote(path.Join(state, "sessions")) +
			" --shim " + shim + " --cgroup " + quote(noCgroup),
		Announce: announce,
		Connect: func(id banger.SessionID) string {
			return "exec " + agent + " connect --announce " + announce + " " + quote(path.Join(state, "sessions", string(id), sessiondir.SocketName))
		},
	}
}

// noCgroup is where no host has a cgroup: it is not ours to make some there.
const noCgroup = "/nonexistent"
