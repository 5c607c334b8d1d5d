package kvmlab

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"banger"
	"banger/test/installation"
)

const (
	labName = "lab"
	// trialLimit is how long the trial guest of the lab's daemon may take: nearly
	// ten seconds on a quiet host, of which QEMU and the BIOS need a third.
	trialLimit = "BANGER_KVM_TRIAL_LIMIT=2m"
	// imagesDir is where an installation without XDG variables has its images.
	imagesDir = "/root/.local/share/banger/images"
)

// packages are what an installation needs of its host, but for mmdebstrap, and
// kmod, which loads the module of KVM.
func packages() []string {
	return []string{"--include", "qemu-system-x86", "--include", "e2fsprogs", "--include", "openssh-client", "--include", "kmod"}
}

// lab is a running VM whose guest is a host with KVM. It has banger installed,
// with an image: the one that it runs from itself.
type lab struct {
	host  *installation.Installation
	image banger.Image
}

func newLab(t *testing.T, host *installation.Installation) *lab {
	t.Helper()
	host.MustRun(t, append([]string{"image", "build", labName}, packages()...)...)
	l := &lab{host: host, image: installation.JSON[banger.Image](t, host, "image", "show", labName)}
	// One CPU: QEMU before 8.1 may go on executing code that another CPU has changed,
	// which is what Linux does to itself when a guest of KVM comes or goes.
	host.MustRun(t, "vm", "create", labName, "--image", labName, "--cpus", "1", "--memory", "2G", "--start")
	l.sh(t, `modprobe kvm-amd; test -c /dev/kvm`)
	l.sh(t, `mkdir -p /usr/local/libexec/banger "$1"`, l.imageDir())
	l.send(t, string(bin), "/usr/local/bin", "banger")
	l.send(t, string(bin), "/usr/local/libexec/banger", "banger-agent", "banger-shim")
	l.send(t, host.Paths().Image(l.image.ID), l.imageDir(), "manifest.json", "packages.txt")
	l.sh(t, copyImage, l.imageDir(), l.image.KernelRelease)
	return l
}

// imageDir is the folder of the lab's image in the lab.
func (l *lab) imageDir() string { return path.Join(imagesDir, string(l.image.ID)) }

// copyImage takes the large files of the image from the system that was made of
// it, which is faster than to send them. Its disk is the guest's first.
const copyImage = `
mkdir -p "$1/modules/$2"
dd if=/dev/vda of="$1/root.ext4" bs=1M conv=sparse status=none
cp "/boot/vmlinuz-$2" "$1/vmlinuz"
cd "/usr/lib/modules/$2"
cp -r kernel modules.builtin modules.dep modules.softdep "$1/modules/$2"
`

// sh runs a script of the shell in the lab, which has to succeed.
func (l *lab) sh(t *testing.T, script string, args ...string) {
	t.Helper()
	r := l.host.Feed(t, strings.NewReader(script), l.inside(append([]string{"sh", "-eus", "--"}, args...)...)...)
	if r.Code != 0 {
		t.Fatalf("a script failed in the lab: %s", r)
	}
}

// inside returns the arguments of banger on this host that run a command in the
// lab; the guest's shell takes it for what it is.
func (l *lab) inside(command ...string) []string {
	args := []string{"vm", "ssh", labName, "--"}
	for _, word := range command {
		args = append(args, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
	}
	return args
}

// send copies files of a folder of this host to one of the lab.
func (l *lab) send(t *testing.T, from, to string, names ...string) {
	t.Helper()
	pack := exec.CommandContext(t.Context(), "tar", append([]string{"-C", from, "-c", "--"}, names...)...)
	var said bytes.Buffer
	pack.Stderr = &said
	packed, err := pack.StdoutPipe()
	if err == nil {
		err = pack.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	r := l.host.Feed(t, packed, l.inside("tar", "-C", to, "--no-same-owner", "-x")...)
	_, _ = io.Copy(io.Discard, packed)
	if err := pack.Wait(); err != nil || r.Code != 0 {
		t.Fatalf("cannot send %q to the lab: %v\n%s%s", names, err, said.Bytes(), r)
	}
}

// banger runs the lab's own banger.
func (l *lab) banger(t *testing.T, args ...string) installation.Result {
	t.Helper()
	return l.host.Run(t, l.inside(append([]string{"env", trialLimit, "banger"}, args...)...)...)
}

// mustBanger is banger for commands that have to succeed; it returns their output.
func (l *lab) mustBanger(t *testing.T, args ...string) string {
	t.Helper()
	r := l.banger(t, args...)
	if r.Code != 0 {
		t.Fatalf("command failed in the lab: %s", r)
	}
	return string(r.Stdout)
}

// decode returns what a command with --json printed.
func decode[T any](t *testing.T, printed string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(printed), &v); err != nil {
		t.Fatalf("%v in: %s", err, printed)
	}
	return v
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
