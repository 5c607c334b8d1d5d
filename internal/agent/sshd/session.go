package sshd

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/agent/passwd"
)

// Limits on the env requests of one channel.
const (
	maxEnvVariables = 64
	maxEnvBytes     = 4096 // of one name or value
)

// session is one channel of type "session", RFC 4254, section 6: at most one
// command with what was asked for before it. It belongs to one goroutine.
type session struct {
	conn    *connection
	user    passwd.User // as the database has it when the channel is opened
	channel ssh.Channel
	env     map[string]string
	tty     *ttyRequest // nil without a pseudo-terminal
	gone    context.Context
	agent   *agentForward // nil if the client lends no ssh-agent
	command *command      // nil before it has started
	used    bool          // a command was asked for, whether or not it could start
}

// serveSession returns when the channel is closed and the command's streams
// with it.
func (c *connection) serveSession(gone context.Context, nc ssh.NewChannel) {
	channel, requests, err := nc.Accept()
	if err != nil {
		return
	}
	s := &session{conn: c, user: c.user, channel: channel, gone: gone, env: make(map[string]string)}
	if user, err := c.server.user(c.ssh.User()); err == nil { // a connection may be kept for long
		s.user = user
	}
	defer func() { s.agent.close() }()
	closed := make(chan struct{})
	var relays sync.WaitGroup
	defer relays.Wait()
	defer close(closed)
	hungUp := gone.Done()
	for {
		select {
		case r, ok := <-requests:
			if !ok {
				s.command.hangUp()
				return
			}
			if run := s.answer(r); run != nil {
				relays.Go(func() { run(closed) })
			}
		case <-hungUp:
			s.command.hangUp()
			hungUp = nil
		}
	}
}

// answer serves one request. What it returns, if anything, is to be run after
// the answer, until the command has ended or the channel is closed.
func (s *session) answer(r *ssh.Request) (run func(closed <-chan struct{})) {
	var ok bool
	switch r.Type {
	case "exec", "shell", "subsystem":
		var p program
		if p, ok = s.program(r); ok {
			run = s.start(p)
		}
	default:
		ok = s.adjust(r)
	}
	if r.WantReply {
		_ = r.Reply(ok, nil) // fails only if the client has gone
	}
	return run
}

// program is what a request asks to start, if it may.
func (s *session) program(r *ssh.Request) (p program, ok bool) {
	if s.used {
		return program{}, false
	}
	only := s.conn.server.config.Only
	switch r.Type {
	case "exec":
		var m struct{ Command string }
		ok = unmarshal(r, &m)
		if only != nil {
			return only.program(m.Command), ok
		}
		if session, is := strings.CutPrefix(m.Command, "+"); is {
			return program{refusal: fmt.Sprintf("cannot attach to session %q: connect to it by its own name, +SESSION.NAME.banger", session)}, ok
		}
		if p, is := s.scpProgram(m.Command); is {
			return p, ok
		}
		return s.shell("-c", m.Command), ok
	case "shell":
		if only != nil {
			return only.program(), true
		}
		return s.loginShell(), true
	}
	var m struct{ Name string }
	if !unmarshal(r, &m) {
		return program{}, false
	}
	argv, ok := s.conn.server.config.Subsystems[m.Name]
	if !ok {
		return program{}, false
	}
	return program{path: argv[0], argv: argv}, true
}

// adjust serves the requests that prepare a command or act on it.
func (s *session) adjust(r *ssh.Request) bool {
	switch r.Type {
	case "env":
		var m struct{ Name, Value string }
		return unmarshal(r, &m) && s.setEnv(m.Name, m.Value)
	case "pty-req":
		request, err := parseTTYRequest(r.Payload)
		if err != nil || s.tty != nil || s.used {
			return false
		}
		s.tty = &request
		return true
	case "auth-agent-req@openssh.com":
		return s.forwardAgent()
	case "window-change":
		var m windowSize
		if s.tty == nil || !unmarshal(r, &m) {
			return false
		}
		s.tty.Size = m
		return s.command.resize(m) == nil
	case "signal":
		var m struct{ Name string }
		if !unmarshal(r, &m) {
			return false
		}
		signal, known := signalByName(m.Name)
		return known && s.command.signal(signal)
	}
	return false
}

// forwardAgent lends the command, which starts later, the client's ssh-agent.
func (s *session) forwardAgent() bool {
	if s.agent != nil || s.used || s.conn.server.config.Only != nil {
		return false
	}
	agent, err := openAgentForward(s.gone, s.conn.ssh, s.user)
	if err != nil {
		s.conn.server.config.Logger.Warn(err.Error())
		return false
	}
	s.agent = agent
	return true
}

func unmarshal(r *ssh.Request, m any) bool { return ssh.Unmarshal(r.Payload, m) == nil }

// setEnv accepts what Debian's sshd_config does with AcceptEnv, and TERM.
func (s *session) setEnv(name, value string) bool {
	accepted := name == "LANG" || name == "TERM" || name == "COLORTERM" || strings.HasPrefix(name, "LC_")
	if !accepted || len(name)+len(value) > maxEnvBytes || strings.Contains(name+value, "\x00") ||
		strings.Contains(name, "=") || len(s.env) >= maxEnvVariables {
		return false
	}
	s.env[name] = value
	return true
}

// shell is the user's shell with arguments, as sshd(8) starts it for exec.
func (s *session) shell(args ...string) program {
	path := s.user.Shell
	return program{path: path, argv: append([]string{filepath.Base(path)}, args...), env: s.conn.server.config.Env}
}

// loginShell is the user's shell with the dash that makes it a login shell.
func (s *session) loginShell() program {
	path := s.user.Shell
	return program{path: path, argv: []string{"-" + filepath.Base(path)}, env: s.conn.server.config.Env}
}

// environment is that of a login, sshd(8), with what the image sets and the client asked for.
func (s *session) environment(image map[string]banger.ByteString) []string {
	user := s.user
	remoteHost, remotePort := hostPort(s.conn.ssh.RemoteAddr())
	localHost, localPort := hostPort(s.conn.ssh.LocalAddr())
	if s.conn.server.config.Only != nil {
		return s.ownEnvironment()
	}
	env := map[string]string{"LANG": "C.UTF-8", "PATH": user.DefaultPath()}
	for name, value := range image {
		env[name] = string(value)
	}
	maps.Copy(env, map[string]string{
		"HOME":           user.Home,
		"LOGNAME":        user.Name,
		"USER":           user.Name,
		"SHELL":          user.Shell,
		"SSH_CLIENT":     fmt.Sprintf("%s %d %d", remoteHost, remotePort, localPort),
		"SSH_CONNECTION": fmt.Sprintf("%s %d %s %d", remoteHost, remotePort, localHost, localPort),
	})
	maps.Copy(env, s.env)
	if s.tty != nil {
		env["TERM"] = s.tty.Term
	}
	if s.agent != nil {
		env["SSH_AUTH_SOCK"] = s.agent.socket
	}
	list := make([]string, 0, len(env)+1)
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// ownEnvironment is that of this process, with the client's terminal.
func (s *session) ownEnvironment() []string {
	env := os.Environ()
	for name, value := range s.env {
		env = append(env, name+"="+value)
	}
	if s.tty != nil {
		env = append(env, "TERM="+s.tty.Term)
	}
	return env
}

// start starts the command. A command that cannot be started is reported to the
// client as a shell would: a line on stderr and exit status 127.
func (s *session) start(p program) func(closed <-chan struct{}) {
	s.used = true
	if p.refusal != "" {
		return func(<-chan struct{}) {
			fmt.Fprintf(s.channel.Stderr(), "banger: %s\r\n", p.refusal)
			sendExit(s.channel, exitRefused)
		}
	}
	command, err := startCommand(s.conn.server.config.Start, p, s.user, s.environment(p.env), s.tty)
	if err != nil {
		s.conn.server.config.Logger.Warn("cannot start command", "user", s.user.Name, "error", err)
		return func(<-chan struct{}) {
			fmt.Fprintf(s.channel.Stderr(), "banger: %v\r\n", err)
			sendExit(s.channel, exitCannotStart)
		}
	}
	s.command = command
	return func(closed <-chan struct{}) { command.run(s.channel, closed) }
}
