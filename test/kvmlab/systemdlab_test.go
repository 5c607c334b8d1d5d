package kvmlab

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"banger"
	"banger/internal/image/initrd"
	"banger/test/installation"
	"banger/test/testimage"
)

// labUser is the ordinary user of the lab, and labUID the user's id.
const (
	labUser = "wanda"
	labUID  = "1000"
)

// systemdPackages are the lab's, and what makes a host with systemd that users log in to.
func systemdPackages() []string {
	return append(packages(), "--include", "systemd-sysv", "--include", "libpam-systemd", "--include", "dbus", "--include", "openssh-server")
}

// commandLimit ends what hangs in the lab, so that its test fails and not the run.
const commandLimit = 5 * time.Minute

// systemdLab is a host with KVM and a real systemd, which users log in to over SSH: QEMU
// with the image of the lab, whose init is systemd and not the agent.
type systemdLab struct {
	dir     string // key, initrd and disk
	port    string // of sshd, on the loopback
	console *console
	machine *exec.Cmd
	ended   chan struct{} // closed when the machine has ended
}

// open makes the lab, with banger and its image installed and a VM "v" that is stopped.
// Whatever of it there is then, its owner closes.
func (l *systemdLab) open(t *testing.T) {
	t.Helper()
	host := installation.New(t, bin)
	host.MustRun(t, append([]string{"image", "build", labName}, systemdPackages()...)...)
	image := installation.JSON[banger.Image](t, host, "image", "show", labName)
	files := host.Paths().Image(image.ID)
	dir, err := os.MkdirTemp("", "banger-lab-")
	if err != nil {
		t.Fatal(err)
	}
	l.dir, l.port = dir, freePort(t)
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", l.path("key"))
	l.writeInitrd(t, filepath.Join(files, "modules", image.KernelRelease))
	l.writeDisk(t, files, string(image.ID))
	l.boot(t, files)
	l.logIn(t, "root")
	l.root(t, setUp, labUser, labUID)
	l.logIn(t, labUser)
	l.banger(t, append([]string{"image", "build", labName}, systemdPackages()...)...) // it is there
	l.banger(t, "vm", "create", "v", "--image", labName, "--memory", "256M")
	l.logOut(t, labUser)
}

func (l *systemdLab) path(name string) string { return filepath.Join(l.dir, name) }

// writeInitrd writes the initrd, whose init is a program of this test.
func (l *systemdLab) writeInitrd(t *testing.T, modules string) {
	t.Helper()
	program := l.path("init")
	build(t, program, "build", "banger/test/kvmlab/testdata/init")
	f, err := os.Create(l.path("initrd"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parts := initrd.BaseFiles{Agent: program, Shim: program, ModulesDir: modules}.WithDefaultModules()
	if err := initrd.Base(f, parts); err != nil {
		t.Fatal(err)
	}
}

// writeDisk makes the disk that takes the lab's changes. What is sent to the lab is on it
// already: mke2fs is faster than any copy in the lab.
func (l *systemdLab) writeDisk(t *testing.T, image, id string) {
	t.Helper()
	tree, err := os.MkdirTemp(testimage.DataHome(), "lab-") // hard links need the same file system
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tree)
	sent := filepath.Join(tree, "upper/srv/banger")
	if err := os.MkdirAll(filepath.Join(sent, "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "cp", "-a", "--link", image, filepath.Join(sent, "images", id))
	run(t, "cp", "-r", string(bin), filepath.Join(sent, "bin"))
	for unit, kind := range map[string]string{"banger.service": "user", "banger@.service": "system"} {
		run(t, "install", "-D", "-m", "644", "-t", filepath.Join(tree, "upper/usr/local/lib/systemd", kind), "../../systemd/"+unit)
	}
	run(t, "mke2fs", "-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-d", tree, l.path("disk"), "16G")
}

// close ends the lab.
func (l *systemdLab) close() error {
	if l.machine != nil {
		_ = l.machine.Process.Kill()
		<-l.ended
	}
	return os.RemoveAll(l.dir)
}

// boot starts the lab and waits until it takes logins.
func (l *systemdLab) boot(t *testing.T, image string) {
	t.Helper()
	key, err := os.ReadFile(l.path("key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	drive := func(id, file, options string) []string {
		return []string{"-drive", "if=none,format=raw,id=" + id + ",file=" + file + options, "-device", "virtio-blk-pci,drive=" + id}
	}
	args := []string{
		"-M", "q35,accel=tcg,sata=off,smbus=off,smm=off,vmport=off", "-cpu", "max", "-smp", "1", "-m", "2G",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", filepath.Join(image, "vmlinuz"), "-initrd", l.path("initrd"),
		"-append", strings.Join(append(maskUnits(),
			"console=ttyS0 quiet panic=1 net.ifnames=0 systemd.show_status=0 systemd.unit=multi-user.target",
			"systemd.setenv="+trialLimit, "lab.key="+strings.Fields(string(key))[1]), " "),
		"-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng",
		"-netdev", "user,id=net,hostfwd=tcp:127.0.0.1:" + l.port + "-:22", "-device", "virtio-net-pci,netdev=net,romfile=",
	}
	args = append(args, drive("image", filepath.Join(image, "root.ext4"), ",read-only=on")...)
	args = append(args, drive("system", l.path("disk"), ",cache=unsafe")...)
	machine := exec.Command("qemu-system-x86_64", args...)
	l.console = newConsole("the lab takes logins")
	machine.Stdout, machine.Stderr = l.console, l.console
	if err := machine.Start(); err != nil {
		t.Fatal(err)
	}
	l.machine, l.ended = machine, make(chan struct{})
	go func() {
		defer close(l.ended)
		_ = machine.Wait()
	}()
	select {
	case <-l.console.seen:
	case <-l.ended:
		t.Fatalf("the lab ended before it took logins:\n%s", l.console)
	case <-time.After(commandLimit):
		t.Fatalf("the lab takes no logins:\n%s", l.console)
	}
}

// maskUnits are words of the kernel's command line that keep away what the tests have no use
// for, and what takes seconds in an emulated host: a getty, which would write on the console
// too, udev, timers, and a manager for each login of root.
func maskUnits() (words []string) {
	for _, unit := range []string{
		"serial-getty@ttyS0.service", "getty@tty1.service", "user@0.service",
		"systemd-udevd.service", "systemd-udev-trigger.service", "systemd-journal-flush.service",
		"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
	} {
		words = append(words, "systemd.mask="+unit)
	}
	return words
}

// setUp makes an ordinary user and installs the binaries where make install does; the
// units are there already. Without udev nobody else opens /dev/kvm to users.
const setUp = `
modprobe kvm-amd
chmod 666 /dev/kvm
useradd --create-home --shell /bin/sh --uid "$2" "$1"
install -D -m 755 -t /usr/local/bin /srv/banger/bin/banger
install -D -m 755 -t /usr/local/libexec/banger /srv/banger/bin/banger-agent /srv/banger/bin/banger-shim
cp -r /root/.ssh "/home/$1/"
mkdir -p "/home/$1/.local/share/banger"
mv /srv/banger/images "/home/$1/.local/share/banger/"
chown -R "$1:$1" "/home/$1"
`

// logIn opens a user's login, which lasts until logOut: one connection, as of a terminal.
func (l *systemdLab) logIn(t *testing.T, user string) {
	t.Helper()
	// No pipes: the connection in the background would keep them open.
	if err := l.ssh(t, user, "-M", "-N", "-f", "-o", "LogLevel=ERROR").Run(); err != nil {
		t.Fatalf("%s cannot log in to the lab: %v", user, err)
	}
}

// logOut ends a user's login.
func (l *systemdLab) logOut(t *testing.T, user string) {
	t.Helper()
	if out, err := l.ssh(t, user, "-O", "exit").CombinedOutput(); err != nil {
		t.Fatalf("%s cannot log out of the lab: %v\n%s", user, err, out)
	}
}

// as runs a script of the shell in the login of a user. It has to succeed; what it
// printed is returned.
func (l *systemdLab) as(t *testing.T, user, script string, args ...string) string {
	t.Helper()
	cmd := l.command(t, user, append([]string{"sh", "-eus", "--"}, args...)...)
	cmd.Stdin = strings.NewReader(script)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("a script failed in the lab: %v\n%s\nstdout: %s\nstderr: %s", err, script, out, said.Bytes())
	}
	return string(out)
}

// root is as for root.
func (l *systemdLab) root(t *testing.T, script string, args ...string) string {
	t.Helper()
	return l.as(t, "root", script, args...)
}

// command returns a command in the login of a user, which has not started.
func (l *systemdLab) command(t *testing.T, user string, command ...string) *exec.Cmd {
	t.Helper()
	args := []string{"-T", "--", "export", trialLimit + ";"}
	for _, word := range command {
		args = append(args, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
	}
	return l.ssh(t, user, args...)
}

// ssh returns ssh with a user of the lab and some arguments.
func (l *systemdLab) ssh(t *testing.T, user string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, "ssh", append([]string{
		"-F", "none", "-i", l.path("key"), "-p", l.port, "-l", user, "-S", l.path(user),
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "127.0.0.1",
	}, args...)...)
}

// banger runs the user's banger, which has to succeed.
func (l *systemdLab) banger(t *testing.T, args ...string) string {
	t.Helper()
	return l.as(t, labUser, `exec banger "$@"`, args...)
}

// lines follows what a command in the lab prints, until the test ends.
func (l *systemdLab) lines(t *testing.T, user string, command ...string) *bufio.Scanner {
	t.Helper()
	cmd := l.command(t, user, command...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%q said: %s", command, said.Bytes())
		}
	})
	return bufio.NewScanner(out)
}

// freePort returns a port of the loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// run runs a program of this host, which has to succeed.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("cannot run %s: %v\n%s", name, err, out)
	}
}

// console keeps what a machine prints, and tells when that has a text in it for the
// first time. Safe for concurrent use.
type console struct {
	text []byte
	seen chan struct{} // closed when it has

	mu   sync.Mutex
	said bytes.Buffer
	done bool
}

func newConsole(text string) *console { return &console{text: []byte(text), seen: make(chan struct{})} }

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said.Write(p)
	if !c.done && bytes.Contains(c.said.Bytes(), c.text) {
		c.done = true
		close(c.seen)
	}
	return len(p), nil
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said.String()
}
