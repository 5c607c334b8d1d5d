package remote

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/files"
	"banger/internal/guestconfig"
	"banger/internal/sessiondir"
	"banger/internal/sshhost"
	"banger/internal/vmm"
)

// versionBytes is how much of a version's hash names its directory.
const versionBytes = 16

// version is one build of the programs for one architecture.
type version struct {
	Programs
	agentSum, shimSum string // SHA-256
	name              string // of its directory
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
		v.agentSum, _, err = files.SHA256(programs.Agent)
	}
	if err == nil {
		v.shimSum, _, err = files.SHA256(programs.Shim)
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
func (h *host) Install(ctx context.Context, client *ssh.Client) (vmm.AgentCommands, error) {
	commands, err := h.install(ctx, client)
	if err != nil {
		h.nameIn(err)
		err = &vmm.StageError{Stage: banger.StageUploadAgent, Err: fmt.Errorf("cannot bring the agent to host %s: %w", h.target, err)}
	}
	return commands, err
}

func (h *host) install(ctx context.Context, client *ssh.Client) (vmm.AgentCommands, error) {
	// Which programs it needs is known when it has said what it is; mostly it is that.
	v, err := h.driver.version("amd64")
	if err != nil {
		return vmm.AgentCommands{}, err
	}
	banger.Step(ctx, "looking at what the host is and has")
	f, err := probe(ctx, client, v.name)
	if err != nil {
		return vmm.AgentCommands{}, err
	}
	if f.goarch != "amd64" {
		if v, err = h.driver.version(f.goarch); err != nil {
			return vmm.AgentCommands{}, err
		}
		if f, err = probe(ctx, client, v.name); err != nil {
			return vmm.AgentCommands{}, err
		}
	}
	if f.installed == "" {
		banger.Step(ctx, "uploading the agent")
		dir, err := upload(ctx, client, v, f.programs)
		if err != nil {
			return vmm.AgentCommands{}, err
		}
		banger.Step(ctx, "looking for a place for sessions")
		if f, err = probe(ctx, client, v.name); err != nil {
			return vmm.AgentCommands{}, err
		}
		if f.installed == "" {
			return vmm.AgentCommands{}, banger.Errorf(banger.CodeUnavailable, "the agent is gone from %s right after its upload", dir).
				WithHint("does something on the host remove programs there, such as a virus scanner?")
		}
	}
	for _, why := range f.passed {
		banger.Step(ctx, "passed over: "+why)
	}
	return commands(path.Join(f.installed, v.name), f.state), nil
}

// nameIn puts the command that reaches the host in place of ssh HOST in the hint of an error.
func (h *host) nameIn(err error) {
	if e, ok := errors.AsType[*banger.Error](err); ok {
		e.Hint = strings.ReplaceAll(e.Hint, "ssh HOST", h.target.Command("ssh"))
	}
}

// controlTimeout bounds how long a login shell may take until the agent has said its line.
const controlTimeout = time.Minute

// tryControl starts the agent as the link does, and waits for its first line: what keeps a
// login from that is told before the host is recorded.
func (h *host) tryControl(ctx context.Context, client *ssh.Client, c vmm.AgentCommands) error {
	banger.Step(ctx, "starting the agent")
	ctx, cancel := context.WithTimeoutCause(ctx, controlTimeout, fmt.Errorf("its first line has not come within %s", controlTimeout))
	defer cancel()
	undo := context.AfterFunc(ctx, func() { client.Close() })
	defer undo()
	var stdin io.Writer
	var stdout io.Reader
	session, err := begin(ctx, client, func(session *ssh.Session) error {
		var err1, err2 error
		stdin, err1 = session.StdinPipe()
		stdout, err2 = session.StdoutPipe()
		if err := errors.Join(err1, err2, session.Start(c.Control)); err != nil {
			return fmt.Errorf("cannot run the agent: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	defer session.Close()
	if _, err := io.WriteString(stdin, sshhost.Beginning(c.Announce)); err != nil {
		return fmt.Errorf("cannot run the agent: %w", err)
	}
	_, err = sshhost.BehindAnnouncement(stdout, c.Announce)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	if err != nil {
		h.nameIn(err)
		return fmt.Errorf("cannot start the agent on host %s: %w", h.target, err)
	}
	return nil
}

// commands are those of a version in a directory, with the state of sessions in another.
func commands(dir, state string) vmm.AgentCommands {
	agent, shim := quote(path.Join(dir, guestconfig.AgentName)), quote(path.Join(dir, guestconfig.ShimName))
	announce := "banger-control-" + rand.Text()
	return vmm.AgentCommands{
		Control: agent + " control --announce " + announce + " --sessions-dir " + quote(path.Join(state, "sessions")) +
			" --shim " + shim + " --cgroup " + quote(noCgroup),
		Copy:     agent + " copy --announce " + announce,
		Announce: announce,
		Connect: func(id banger.SessionID) string {
			return agent + " connect --announce " + announce + " " + quote(path.Join(state, "sessions", string(id), sessiondir.SocketName))
		},
	}
}

// noCgroup is where no host has a cgroup: it is not ours to make some there.
const noCgroup = "/nonexistent"
