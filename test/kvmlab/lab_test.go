package kvmlab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"banger"
	"banger/internal/image/initrd"
	"banger/test/installation"
	"banger/test/testimage"
)

const (
	labImage = "lab"
	// labUser is the ordinary user of the lab, and labUID the user's id.
	labUser = "wanda"
	labUID  = "1001" // the image has a user with the first that Debian gives
	// trialLimit is how long the trial guest of a daemon in the lab may take: nearly
	// ten seconds on a quiet host, of which QEMU and the BIOS need a third.
	trialLimit = "BANGER_KVM_TRIAL_LIMIT=2m"
	// sent is the directory of the lab with the image that it was given with its disk.
	sent = "/srv/images"
)

// buildImage are the arguments of banger that build the lab's image: what an installation
// needs of its host, but for mmdebstrap; kmod, which loads the module of KVM; and what
// makes a host with systemd that users log in to.
func buildImage() []string {
	args := []string{"image", "build", labImage}
	for _, name := range []string{
		"qemu-system-x86", "e2fsprogs", "openssh-client", "kmod",
		"systemd-sysv", "libpam-systemd", "dbus", "openssh-server",
	} {
		args = append(args, "--include", name)
	}
	return args
}

// lab is a host with KVM and systemd, which users log in to over SSH. It has banger
// installed, with an image: the one that it runs from itself.
type lab struct {
	dir     string // key, initrd and disk
	port    string // of sshd, on the loopback
	image   banger.Image
	files   string // directory of the image, on this host
	machine *machine
}

// open makes the lab, with a VM "v" that starts with it from the next boot on. One CPU: two
// in one that is emulated wait for one another, and take nearly twice as long to start.
// Whatever of the lab there is then, its owner closes.
func (l *lab) open(t *testing.T) {
	t.Helper()
	host := installation.New(t, bin)
	host.MustRun(t, buildImage()...)
	l.image = installation.JSON[banger.Image](t, host, "image", "show", labImage)
	l.files = host.Paths().Image(l.image.ID)
	dir, err := os.MkdirTemp("", "banger-lab-")
	if err != nil {
		t.Fatal(err)
	}
	l.dir, l.port = dir, freePort(t)
	run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", l.path("key"))
	l.writeInitrd(t, l.path("initrd"), "banger/test/kvmlab/testdata/init")
	l.writeDisk(t)
	l.boot(t)
	l.logIn(t, "root")
	l.root(t, setUp, labUser, labUID, sent)
	l.logIn(t, labUser)
	l.createVM(t, "v", "--autostart")
	l.logOut(t, labUser)
}

// createVM makes a VM of the lab's image, which has no name in the lab.
func (l *lab) createVM(t *testing.T, name string, options ...string) {
	t.Helper()
	args := []string{"vm", "create", name, "--image", string(l.image.ID), "--cpus", "1", "--memory", "256M"}
	l.banger(t, append(args, options...)...)
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// writeInitrd writes an initrd with the lab's kernel modules, whose init is a program of
// a test.
func (l *lab) writeInitrd(t *testing.T, path, program string) {
	t.Helper()
	executable := filepath.Join(t.TempDir(), "init")
	build(t, executable, "build", program)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	modules := filepath.Join(l.files, "modules", l.image.KernelRelease)
	if err := initrd.Base(f, initrd.BaseFiles{Agent: executable, Shim: executable, ModulesDir: modules}.WithDefaultModules()); err != nil {
		t.Fatal(err)
	}
}

// writeDisk makes the disk that takes the lab's changes. What the lab is given is on it
// already: mke2fs is faster than any copy in the lab.
func (l *lab) writeDisk(t *testing.T) {
	t.Helper()
	tree, err := os.MkdirTemp(testimage.DataHome(), "lab-") // hard links need the same file system
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tree)
	upper := filepath.Join(tree, "upper")
	images := filepath.Join(upper, sent)
	for _, dir := range []string{images, filepath.Join(tree, "work")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "cp", "-a", "--link", l.files, images)
	run(t, "cp", "-r", "testdata/root/.", upper)
	run(t, "install", "-D", "-m", "600", l.path("key.pub"), filepath.Join(upper, "root/.ssh/authorized_keys"))
	local := filepath.Join(upper, "usr/local") // as make install does
	run(t, "install", "-D", "-m", "755", "-t", filepath.Join(local, "bin"), filepath.Join(string(bin), "banger"))
	for _, name := range []string{"banger-agent", "banger-shim"} {
		run(t, "install", "-D", "-m", "755", "-t", filepath.Join(local, "libexec/banger"), filepath.Join(string(bin), name))
	}
	for unit, kind := range map[string]string{"banger.service": "user", "banger@.service": "system"} {
		run(t, "install", "-D", "-m", "644", "-t", filepath.Join(local, "lib/systemd", kind), "../../systemd/"+unit)
	}
	// Checksums of the metadata would be half of mke2fs's work.
	run(t, "mke2fs", "-q", "-F", "-t", "ext4", "-O", "^metadata_csum", "-E", "root_owner=0:0", "-d", tree, l.path("disk"), "16G")
}

// setUp makes an ordinary user, whose images are there already.
const setUp = `
useradd --create-home --shell /bin/sh --uid "$2" --groups kvm "$1"
cp -r /root/.ssh "/home/$1/"
mkdir -p "/home/$1/.local/share/banger"
mv "$3" "/home/$1/.local/share/banger/images"
chown -R "$1:$1" "/home/$1"
`

// close ends the lab.
func (l *lab) close() error {
	if l.machine != nil {
		l.machine.kill()
	}
	return os.RemoveAll(l.dir)
}

// build runs go build or go test -c for the lab.
func build(t *testing.T, output string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append(args[:1:1], append([]string{"-trimpath", "-ldflags=-s -w", "-o", output}, args[1:]...)...)...)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build %s: %v\n%s", filepath.Base(output), err, out)
	}
}

// run runs a program of this host, which has to succeed.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("cannot run %s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
