package bench

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/client"
	"banger/internal/hosttest"
	"banger/test/installation"
)

// place is where sessions run: the VM v of an installation, and how ssh gets there.
type place struct {
	*installation.Installation
	*client.Client
	name   string
	vm     banger.VM
	server *hosttest.SSHServer // nil for a guest
	// options are what ssh(1) takes to get there, up to and with the host. A master
	// connection is open and stays so.
	options []string
	dial    func() (*ssh.Client, error)
}

// onHost measures on the host, inGuest in a VM: each is a benchmark of its own in b.
func onHost(b *testing.B, measure func(b *testing.B, p *place)) {
	b.Run("host", func(b *testing.B) {
		for b.Loop() {
			measure(b, newHost(b))
		}
	})
}

func inGuest(b *testing.B, measure func(b *testing.B, p *place), flags ...string) {
	b.Run("guest", func(b *testing.B) {
		for b.Loop() {
			measure(b, newGuest(b, flags...))
		}
	})
}

// benchImage has what the peers need beside what a user gets.
const benchImage = "bench"

// newGuest is an emulated VM with banger's own SSH server.
func newGuest(b *testing.B, flags ...string) *place {
	b.Helper()
	i := installation.New(b, bin)
	i.MustRun(b, "image", "build", benchImage, "--include", "tmux", "--include", "dtach")
	i.MustRun(b, append([]string{"vm", "create", "v", "--image", benchImage}, flags...)...)
	i.MustRun(b, "vm", "start", "v")
	a, err := i.Client().SSHAccess(b.Context(), "v")
	if err != nil {
		b.Fatal(err)
	}
	config := fmt.Sprintf("Host guest\n HostName %s\n Port %d\n User %s\n IdentityFile %s\n UserKnownHostsFile %s\n HostKeyAlias %s\n",
		a.Host, a.Port, a.User, a.IdentityFile, a.KnownHostsFile, a.HostKeyAlias)
	file := filepath.Join(i.Dir, "ssh_config")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	p := &place{Installation: i, Client: i.Client(), name: "guest", options: []string{"-F", file}}
	p.open(b, "guest", net.JoinHostPort(a.Host, strconv.Itoa(a.Port)), a.User, a.IdentityFile)
	return p
}

// newHost is this host, reached through OpenSSH on the loopback as another user.
func newHost(b *testing.B) *place {
	b.Helper()
	server := hosttest.NewSSHServer(b, hosttest.SSHOptions{Lines: []string{"MaxSessions 1000"}})
	i := installation.New(b, bin)
	home := filepath.Join(i.Dir, "home")
	target := hosttest.NewSSHHome(b, home, server)
	config := useConfig(b, i, home)
	i.MustRun(b, "vm", "add", "v", "--ssh", target)
	p := &place{Installation: i, Client: i.Client(), name: "host", server: server, options: []string{"-F", config}}
	p.open(b, target, server.Address, hosttest.SSHUser, server.Key())
	return p
}

// useConfig has an installation take the SSH configuration in a home: ssh looks for that in
// the home that passwd names, whatever HOME is.
func useConfig(b *testing.B, i *installation.Installation, home string) (config string) {
	b.Helper()
	config = filepath.Join(home, ".ssh", "config")
	wrapper := "#!/bin/sh\nexec /usr/bin/ssh -F " + config + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(home, "ssh"), []byte(wrapper), 0o700); err != nil {
		b.Fatal(err)
	}
	i.Setenv("PATH", home+":"+os.Getenv("PATH"))
	return config
}

// open opens the master connection, which is closed when the benchmark ends.
func (p *place) open(b *testing.B, host, address, user, keyFile string) {
	b.Helper()
	p.vm = installation.JSON[banger.VM](b, p.Installation, "vm", "show", "v")
	p.options = append(p.options, "-o", "ControlPath="+filepath.Join(p.Dir, "master"), "-o", "LogLevel=ERROR", host)
	key, err := os.ReadFile(keyFile)
	if err != nil {
		b.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		b.Fatal(err)
	}
	p.dial = func() (*ssh.Client, error) {
		return ssh.Dial("tcp", address, &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
			HostKeyCallback: ssh.InsecureIgnoreHostKey()}) // the server is ours, on the loopback
	}
	p.must(b, exec.Command("ssh", append([]string{"-M", "-N", "-f"}, p.options...)...))
	b.Cleanup(func() {
		if out, err := exec.Command("ssh", append([]string{"-O", "exit"}, p.options...)...).CombinedOutput(); err != nil {
			b.Errorf("cannot close the master connection: %v\n%s", err, out)
		}
	})
}

// ssh runs a command line in the guest's shell, through the master connection.
func (p *place) ssh(ctx context.Context, command string, flags ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ssh", append(append(flags, p.options...), "--", command)...)
}

// sshAnew is ssh with a connection of its own.
func (p *place) sshAnew(ctx context.Context, command string, flags ...string) *exec.Cmd {
	return p.ssh(ctx, command, append(flags, "-o", "ControlPath=none")...)
}

// must runs a command and returns its output.
func (p *place) must(b *testing.B, cmd *exec.Cmd) string {
	b.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return string(out)
}

// connect returns a connection of an SSH client in this process.
func (p *place) connect(b *testing.B) *ssh.Client {
	b.Helper()
	conn, err := p.dial()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return conn
}

// startTmux starts tmux's server, so that the sessions that are measured find it. It
// ends with the place.
func (p *place) startTmux(b *testing.B) {
	b.Helper()
	p.must(b, p.ssh(b.Context(), "tmux -f /dev/null new-session -d -s first "+idle))
}
