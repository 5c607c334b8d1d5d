//go:build !unit

package pid1_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"crypto/sha256"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/guest"
	"banger/internal/guestapi"
	"banger/internal/guestconfig"
	"banger/internal/image/ext4"
	"banger/internal/image/initrd"
	"banger/internal/image/layer"
	"banger/internal/machine/qemu"
	"banger/internal/vmm"
	"banger/test/programs"
	"banger/test/testimage"
)

// bootLimit is long because the guest is emulated and shares the host.
const bootLimit = 3 * time.Minute

// fillers are layers that make the image's disks more than fit on one device of PCI.
const fillers = 9

func file(name string, mode int64, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Uname: content}
}

func directory(name string, mode int64, uid int) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode, Uid: uid, Gid: uid}
}

func TestBoot_ImageOfManyLayersAndOneProgram(t *testing.T) {
	layers := [][]tar.Header{
		{
			file("only", 0o755, onlyProgram(t)),
			directory("d", 0o750, 7), file("d/removed", 0o644, ""), file("d/kept", 0o600, "of the lowest"),
			directory("o", 0o755, 0), file("o/hidden", 0o644, ""),
			file("l/first", 0o644, "linked"), {Typeflag: tar.TypeLink, Name: "l/second", Linkname: "l/first"},
			{Typeflag: tar.TypeSymlink, Name: "run", Linkname: "/elsewhere"},
			directory("root/conf", 0o750, 3), file("root/conf/a", 0o4755, "of root's home"),
			{Typeflag: tar.TypeLink, Name: "root/b", Linkname: "root/conf/a"},
			file("etc/passwd", 0o644, "app:x:1000:1000::/home/app:/bin/none\n"),
			{Typeflag: tar.TypeSymlink, Name: "home", Linkname: "/srv/homes"}, directory("srv/homes/app", 0o700, 1000), file("srv/homes/app/c", 0o600, "of app's home"),
		},
		{
			file("d/.wh.removed", 0, ""), file("o/.wh..wh..opq", 0, ""), file("o/new", 0o644, "of the second"),
			{Typeflag: tar.TypeLink, Name: "l/third", Linkname: "l/first"},
		},
	}
	for n := range fillers {
		layers = append(layers, []tar.Header{file(fmt.Sprintf("fill/%d", n), 0o644, ""), file("last", 0o644, fmt.Sprint(n))})
	}
	g := boot(t, stacked(t, layers), "app:staff")
	want := map[string]string{
		"/d":                                     "drwxr-x--- 7:7",
		"/d/removed":                             "is missing",
		"/d/kept":                                `-rw------- 0:0 links 1 "of the lowest"`,
		"/o/hidden":                              "is missing",
		"/o/new":                                 `-rw-r--r-- 0:0 links 1 "of the second"`,
		"/l/first":                               `-rw-r--r-- 0:0 links 3 "linked"`,
		"/l/second":                              `-rw-r--r-- 0:0 links 3 "linked"`,
		"/l/third":                               `-rw-r--r-- 0:0 links 3 "linked"`,
		"/fill/0":                                `-rw-r--r-- 0:0 links 1 ""`,
		"/last":                                  fmt.Sprintf(`-rw-r--r-- 0:0 links 1 "%d"`, fillers-1),
		"/run":                                   "drwxr-xr-x 0:0",
		"/elsewhere":                             "is missing",
		"/root":                                  "drwx------ 0:0",
		"/root/conf":                             "drwxr-x--- 3:3",
		"/root/conf/a":                           `urwxr-xr-x 0:0 links 2 "of root's home"`,
		"/root/b":                                `urwxr-xr-x 0:0 links 2 "of root's home"`,
		"/home/app":                              "drwx------ 1000:1000",
		"/home/app/c":                            `-rw------- 0:0 links 1 "of app's home"`,
		"/root/.local/state/banger/homes/1000/c": `-rw------- 0:0 links 1 "of app's home"`,
		"/tmp":                                   "dtrwxrwxrwx 0:0",
		"/proc/1/exe":                            "Lrwxrwxrwx 0:0",
		"/sys/block":                             "drwxr-xr-x 0:0",
		"/dev/null":                              "Dcrw-rw-rw- 0:0",
		"/etc/hosts":                             `-rw-r--r-- 0:0 links 1 "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tstacked\n"`,
	}
	g.expect(t, want)
	g.powerOff(t)
}

// onlyProgram is the content of a static program.
func onlyProgram(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "only")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./testdata/only")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build: %v: %s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// stacked makes the file systems of layers, the lowest first; what a file holds is in Uname.
func stacked(t *testing.T, layers [][]tar.Header) []string {
	var all []layer.Layer
	for _, entries := range layers {
		data := archive(t, entries)
		all = append(all, layer.Layer{
			DiffID: fmt.Sprintf("sha256:%x", sha256.Sum256(data)),
			Open:   func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
		})
	}
	paths, err := layer.Stacks{Dir: t.TempDir(), FromTar: ext4.FromTar}.Add(t.Context(), all, layer.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func archive(t *testing.T, entries []tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		content := h.Uname
		h.Uname, h.Size = "", int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// stackedGuest is a guest of an image of layers.
type stackedGuest struct {
	guestapi.Guest
	machine vmm.Owned
	user    string // of the image's configuration
	spec    vmm.MachineSpec
}

// boot starts a machine with the agent and the disks of an image, and waits for its link.
func boot(t *testing.T, roots []string, user string) *stackedGuest {
	t.Helper()
	dir := t.TempDir()
	g := &stackedGuest{user: user, spec: vmm.MachineSpec{VMID: banger.NewVMID(), CPUs: 1, MemoryMiB: 512, StateDir: dir, Initrd: filepath.Join(dir, "initrd")}}
	for n, path := range roots {
		g.spec.Disks = append(g.spec.Disks, vmm.MachineDisk{Name: vmm.NthImageDisk(n), Path: path, ReadOnly: true})
	}
	for _, name := range []vmm.DiskName{vmm.SystemDisk, vmm.WorkDisk} {
		path := filepath.Join(dir, string(name)+".img")
		if err := ext4.NewDisk(t.Context(), path, 256, string(name)); err != nil {
			t.Fatal(err)
		}
		g.spec.Disks = append(g.spec.Disks, vmm.MachineDisk{Name: name, Path: path})
	}
	g.start(t)
	return g
}

// start boots the machine of the spec.
func (g *stackedGuest) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	defer cancel()
	driver := qemu.New(qemu.Config{Accel: qemu.AccelTCG})
	hostKey, clientKey := newKey(t), newKey(t)
	g.writeInitrd(t, driver.Devices(g.spec), hostKey, clientKey)
	m, err := driver.Start(ctx, g.spec)
	if err != nil {
		t.Fatal(err)
	}
	g.machine = m
	t.Cleanup(func() {
		if t.Failed() {
			console, _ := os.ReadFile(filepath.Join(g.spec.StateDir, "console.log"))
			t.Logf("console:\n%s", console)
		}
		if err := errors.Join(m.Kill(context.WithoutCancel(t.Context())), m.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := m.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	links := guest.NewLinks(clientKey.signer, slog.New(slog.DiscardHandler))
	serve, err := links.Open(vmm.GuestAccess{VMID: g.spec.VMID, Machine: m, User: "root", HostKey: hostKey.public()}, quiet{})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() { defer close(served); _ = serve(serving) }()
	t.Cleanup(func() { stop(); <-served })
	if g.Guest, err = links.Guest(ctx, g.spec.VMID); err != nil {
		t.Fatal(err)
	}
}

// writeInitrd writes what the machine boots from.
func (g *stackedGuest) writeInitrd(t *testing.T, devices vmm.Devices, hostKey, clientKey key) {
	t.Helper()
	files, err := testimage.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.spec.Kernel = files.Kernel
	bin := t.TempDir()
	if err := programs.Put(bin, programs.Agent, programs.Shim); err != nil {
		t.Fatal(err)
	}
	config := guestconfig.Config{
		Hostname: "stacked", Network: guestconfig.Network(devices.Network), SSHHostKey: hostKey.pem, AuthorizedKeys: []string{clientKey.public()},
		SystemDisk: devices.Disks[vmm.SystemDisk], WorkDisk: devices.Disks[vmm.WorkDisk], ReadyPort: devices.ReadyPort,
		User: g.user,
	}
	for n := range len(g.spec.Disks) - 2 {
		config.ImageDisks = append(config.ImageDisks, devices.Disks[vmm.NthImageDisk(n)])
	}
	f, err := os.Create(g.spec.Initrd)
	if err != nil {
		t.Fatal(err)
	}
	base := initrd.BaseFiles{Agent: filepath.Join(bin, guestconfig.AgentName), Shim: filepath.Join(bin, guestconfig.ShimName), ModulesDir: files.Modules}
	if err := errors.Join(initrd.Base(f, base.WithDefaultModules()), initrd.Config(f, config), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// expect compares what the image's program says of paths.
func (g *stackedGuest) expect(t *testing.T, want map[string]string) {
	t.Helper()
	l := guestapi.GuestLaunch{ID: banger.NewSessionID(), CreatedAt: time.Now(), Launch: banger.Launch{Command: "/only", StdinMode: banger.StdinClosed}}
	var lines []string
	for path, what := range want {
		l.Args = append(l.Args, banger.ByteString(path))
		lines = append(lines, path+" "+what)
	}
	slices.Sort(lines)
	x, err := g.Launch(t.Context(), l)
	if err != nil || x.Status == banger.StatusFailed {
		t.Fatalf("Launch: %v, %+v", err, x)
	}
	var out strings.Builder
	r := guestapi.GuestLogRead{ID: l.ID, Stream: banger.StreamStdout, MaxBytes: guestapi.MaxLogPageBytes, Wait: true}
	for {
		page, err := g.ReadLog(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Chunks {
			out.Write(c.Data)
		}
		if r.Cursor = page.Next; page.Ended && page.AtEnd {
			break
		}
	}
	got := slices.Sorted(strings.SplitSeq(strings.TrimSpace(out.String()), "\n"))
	if !slices.Equal(got, lines) {
		t.Errorf("the guest has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

// powerOff asks the guest to, and looks whether it left its disks clean.
func (g *stackedGuest) powerOff(t *testing.T) {
	t.Helper()
	if err := g.Guest.(guestapi.GuestPower).PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-g.machine.Done():
	case <-time.After(bootLimit):
		t.Fatal("the machine does not end")
	}
	if !g.machine.PoweredOff() {
		t.Error("the guest has not said that it powers off")
	}
	for _, disk := range g.spec.Disks {
		if !disk.ReadOnly && dirty(t, disk.Path) {
			t.Errorf("disk %s is not clean", disk.Name)
		}
	}
}

// dirty reports whether an ext4 has a journal to replay: EXT4_FEATURE_INCOMPAT_RECOVER in
// its superblock, which says so until it is unmounted or made read-only.
func dirty(t *testing.T, path string) bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var incompat [1]byte
	if _, err := f.ReadAt(incompat[:], 1024+0x60); err != nil {
		t.Fatal(err)
	}
	return incompat[0]&4 != 0
}

// key is one of SSH.
type key struct {
	signer ssh.Signer
	pem    string
}

func newKey(t *testing.T) key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key{signer, string(pem.EncodeToMemory(block))}
}

func (k key) public() string { return string(ssh.MarshalAuthorizedKey(k.signer.PublicKey())) }

// quiet is a handler that wants to know nothing.
type quiet struct{}

func (quiet) GuestUp(context.Context, guestapi.GuestHello, guestapi.Guest) error { return nil }
func (quiet) GuestChanged(context.Context, guestapi.GuestSession) error          { return nil }
func (quiet) GuestDown(context.Context, error) error                             { return nil }
