package kvmlab

import (
	"bytes"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// machine is the QEMU of a boot of the lab.
type machine struct {
	*exec.Cmd
	console *console
	ended   chan struct{} // closed when it has ended
}

// boot starts the lab and waits until it takes logins.
func (l *lab) boot(t *testing.T) {
	t.Helper()
	m := &machine{
		Cmd:     exec.Command("qemu-system-x86_64", l.arguments()...),
		console: newConsole("the lab takes logins"),
		ended:   make(chan struct{}),
	}
	m.Stdout, m.Stderr = m.console, m.console
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	l.machine = m
	go func() {
		defer close(m.ended)
		_ = m.Wait()
	}()
	select {
	case <-m.console.seen:
	case <-m.ended:
		t.Fatalf("the lab ended before it took logins:\n%s", m.console)
	case <-time.After(commandLimit):
		t.Fatalf("the lab takes no logins:\n%s", m.console)
	}
}

// arguments are those of QEMU. One CPU: QEMU before 8.1 may continue executing code that
// another CPU has changed, which is what Linux does to itself when a guest of KVM comes
// or goes.
func (l *lab) arguments() []string {
	drive := func(id, file, options string) []string {
		return []string{"-drive", "if=none,format=raw,id=" + id + ",file=" + file + options, "-device", "virtio-blk-pci,drive=" + id}
	}
	args := []string{
		"-M", "q35,accel=tcg,sata=off,smbus=off,smm=off,vmport=off", "-cpu", "max", "-smp", "1", "-m", "2G",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", filepath.Join(l.files, "vmlinuz"), "-initrd", l.path("initrd"),
		"-append", strings.Join(append(units(),
			"console=ttyS0 quiet panic=1 net.ifnames=0 cryptomgr.notests systemd.show_status=0 systemd.unit=multi-user.target",
			"systemd.setenv="+trialLimit), " "),
		"-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng",
		"-netdev", "user,id=net,hostfwd=tcp:127.0.0.1:" + l.port + "-:22", "-device", "virtio-net-pci,netdev=net,romfile=",
	}
	args = append(args, drive("image", filepath.Join(l.files, "root.ext4"), ",read-only=on")...)
	return append(args, drive("system", l.path("disk"), ",cache=unsafe")...)
}

// units are words of the kernel's command line that add the lab's own unit, and keep away
// what the tests have no use for and what takes seconds in an emulated host: a getty, which
// would write on the console too, udev, timers, and a manager for each login of root.
func units() []string {
	words := []string{"systemd.wants=lab-ready.service"}
	for _, unit := range []string{
		"serial-getty@ttyS0.service", "getty@tty1.service", "user@0.service",
		"systemd-udevd.service", "systemd-udev-trigger.service", "systemd-journal-flush.service",
		"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
	} {
		words = append(words, "systemd.mask="+unit)
	}
	return words
}

// kill ends it at once.
func (m *machine) kill() {
	_ = m.Process.Kill()
	<-m.ended
}

// reboot shuts the lab down as its administrator does, and boots it again. The logins of
// users end with it; root's are opened again.
func (l *lab) reboot(t *testing.T) {
	t.Helper()
	l.root(t, `systemctl --no-block reboot`)
	select {
	case <-l.machine.ended:
	case <-time.After(commandLimit):
		t.Fatalf("the lab does not shut down:\n%s", l.machine.console)
	}
	l.boot(t)
	l.logIn(t, "root")
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

// console keeps what a machine prints, and reports when that has a text in it for the
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
