package cli

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/hosttest"
	"banger/internal/image/ext4"
	"banger/internal/machine"
)

func TestCp_IsReadAsScpsAndDockersUsersWriteIt(t *testing.T) {
	for arg, want := range map[string]place{
		"dev:/x": {"dev", "/x"}, "dev:": {"dev", ""}, "dev:a:b": {"dev", "a:b"}, "./a:b": {"", "./a:b"}, "/a:b": {"", "/a:b"},
		"a/b:c": {"", "a/b:c"}, "-": {"", "-"}, "a": {"", "a"}, ".:a": {"", ".:a"},
	} {
		if got := parsePlace(arg); got != want {
			t.Errorf("%q is %+v, not %+v", arg, got, want)
		}
	}
	for line, says := range map[string]string{
		"cp": "SOURCE is missing", "cp dev:/x": "TARGET is missing", "cp a b": "must be VM:PATH", "cp :a b": "must be VM:PATH",
		"cp a dev:/b c": "unexpected argument", "cp -x a dev:/b": "unknown shorthand flag", "cp - -": "must be VM:PATH",
	} {
		f := &fake{}
		if r := f.run(t, "", strings.Fields(line)...); r.status != exitUsage || !strings.Contains(r.stderr, says) || len(f.asked) > 0 {
			t.Errorf("%s: exit status %d, stderr %q, asked %q", line, r.status, r.stderr, f.asked)
		}
	}
}

// cp runs banger cp and returns its exit status.
func (l *live) cp(args ...string) *command {
	l.t.Helper()
	c := l.start(append([]string{"cp"}, args...)...)
	c.stdin.Close()
	c.wait()
	return c
}

func file(t *testing.T, path, data string) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(data), 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

func has(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s is %.100q, %v", path, got, err)
	}
}

func TestCp_CopiesBothWaysAndBetweenVMs(t *testing.T) {
	l := newLive(t)
	l.StartVM("other")
	dir, guest := t.TempDir(), t.TempDir()
	file(t, dir+"/notes/a", "1")
	for _, line := range [][]string{
		{dir + "/notes", "dev:" + guest + "/"}, {"dev:" + guest + "/notes/.", dir + "/out"}, {"dev:" + guest + "/notes/a", "other:" + guest + "/b"},
	} {
		if c := l.cp(line...); c.wait() != exitOK || c.stdout.String()+c.stderr.String() != "" {
			t.Fatalf("cp %q: exit status %d, stdout %q, stderr %q", line, c.wait(), c.stdout, c.stderr)
		}
	}
	has(t, guest+"/notes/a", "1")
	has(t, dir+"/out/a", "1")
	has(t, guest+"/b", "1")
}

// On stdin and stdout there is a tar archive, as docker's users know it.
func TestCp_StreamsAreTarArchives(t *testing.T) {
	l := newLive(t)
	guest := t.TempDir()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range []tar.Header{
		{Name: "./", Typeflag: tar.TypeDir, Mode: 0o700}, {Name: "d/deep/f", Typeflag: tar.TypeReg, Size: 3, Mode: 0o640}, {Name: "/abs", Typeflag: tar.TypeReg, Mode: 0o600},
		{Name: "d/link", Typeflag: tar.TypeSymlink, Linkname: "deep/f"}, {Name: "hard", Typeflag: tar.TypeLink, Linkname: "d/deep/f"}, {Name: "null", Typeflag: tar.TypeChar},
		{Name: "abs", Typeflag: tar.TypeReg, Size: 3, Mode: 0o600},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			_, _ = w.Write([]byte("abc"))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c := l.start("cp", "-", "dev:"+guest+"/in")
	if _, err := c.stdin.Write(archive.Bytes()); err != nil {
		t.Fatal(err)
	}
	c.stdin.Close()
	if c.wait() != exitPartly || !strings.Contains(c.stderr.String(), "not copied: null: it is a device") {
		t.Errorf("exit status %d, stderr %q", c.wait(), c.stderr)
	}
	has(t, guest+"/in/d/deep/f", "abc")
	has(t, guest+"/in/hard", "abc")
	has(t, guest+"/in/abs", "abc")
	out := l.cp("dev:"+guest+"/in", "-")
	if out.wait() != exitOK {
		t.Fatalf("exit status %d, stderr %q", out.wait(), out.stderr)
	}
	r := tar.NewReader(strings.NewReader(out.stdout.String()))
	got := map[string]string{}
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(r)
		got[h.Name] = string(h.Typeflag) + h.Linkname + string(data)
	}
	if len(got) != 7 || got["in/"] != "5" || got["in/d/"] != "5" || got["in/d/link"] != "2deep/f" || !strings.HasSuffix(got["in/hard"], "abc") && got["in/hard"] != "1in/d/deep/f" {
		t.Errorf("the archive has %q", got)
	}
}

// A hostile archive, and one that ends too early, leave nothing.
func TestCp_AnArchiveThatIsNoneLeavesNothing(t *testing.T) {
	l := newLive(t)
	for name, entry := range map[string]tar.Header{
		"out of it": {Name: "a/../../evil", Typeflag: tar.TypeReg}, "cut": {Name: "cut", Typeflag: tar.TypeReg, Size: 1000},
	} {
		guest := t.TempDir()
		var archive bytes.Buffer
		if err := tar.NewWriter(&archive).WriteHeader(&entry); err != nil {
			t.Fatal(err)
		}
		c := l.start("cp", "-", "dev:"+guest+"/in")
		_, _ = c.stdin.Write(archive.Bytes())
		c.stdin.Close()
		if c.wait() == exitOK || !strings.Contains(c.stderr.String(), "archive") {
			t.Errorf("%s: exit status %d, stderr %q", name, c.wait(), c.stderr)
		}
		if left, err := os.ReadDir(guest); err != nil || len(left) > 0 {
			t.Errorf("%s: it leaves %v, %v", name, left, err)
		}
	}
}

func TestCp_SaysWhatIsWrongAndWhatToDo(t *testing.T) {
	l := newLive(t)
	dir := t.TempDir()
	file(t, dir+"/f", "1")
	file(t, dir+"/d/f", "1")
	for _, c := range []struct {
		from, to string
		status   int
		says     []string
	}{
		{"nope:/x", dir, ExitFailure, []string{`vm "nope"`}},
		{dir + "/none", "dev:" + dir, ExitFailure, []string{`"` + dir + `/none"`, "no such file"}},
		{"dev:" + dir + "/none", dir, ExitFailure, []string{`"` + dir + `/none"`, "no such file"}},
		{dir + "/f", "dev:" + dir + "/no/where", ExitFailure, []string{"does not exist", "create it first"}},
		{"dev:" + dir + "/f", dir + "/no/where", ExitFailure, []string{"does not exist", "create it first"}},
		{dir + "/d", "dev:" + dir + "/f", exitUsage, []string{"it is not a directory, and the source is"}},
		{"dev:" + dir + "/f", "/dev/null", exitUsage, []string{"not a regular file"}},
	} {
		got := l.cp(c.from, c.to)
		for _, says := range c.says {
			if got.wait() != c.status || !strings.Contains(got.stderr.String(), says) {
				t.Errorf("cp %s %s: exit status %d, stderr %q", c.from, c.to, got.wait(), got.stderr)
			}
		}
	}
}

// A guest's names cannot act on a terminal.
func TestCp_ShowsAGuestsNamesHarmless(t *testing.T) {
	l := newLive(t)
	guest := filepath.Join(t.TempDir(), "d")
	if err := errors.Join(os.Mkdir(guest, 0o755), unix.Mkfifo(guest+"/x\x1b]0;owned\x07", 0o600)); err != nil {
		t.Fatal(err)
	}
	c := l.cp("dev:"+guest, t.TempDir())
	if c.wait() != exitPartly || strings.ContainsAny(c.stderr.String(), "\x1b\x07") || !strings.Contains(c.stderr.String(), "not copied: x") {
		t.Errorf("exit status %d, stderr %q", c.wait(), c.stderr)
	}
}

// The end of a copy is told behind all of it, to a reader that is slow; and when the guest ends
// in the middle there is no file, and an exit status that says so.
func TestCp_NothingIsLostAtTheEnd(t *testing.T) {
	l := newLive(t)
	guest := t.TempDir()
	const size = 8 << 20
	file(t, guest+"/f", strings.Repeat("0123456789abcdef", size/16))
	in, out := io.Pipe()
	program := CLI{Version: "v1", Backend: l, Stdin: strings.NewReader(""), Stdout: out, Stderr: &buffer{}}
	done := make(chan int, 1)
	go func() {
		done <- program.Run(t.Context(), []string{"cp", "dev:" + guest + "/f", "-"})
		out.Close()
	}()
	r := tar.NewReader(in)
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{r}, make([]byte, 777)); err != nil || n != size {
		t.Errorf("%d bytes have come, %v", n, err)
	}
	_, _ = io.Copy(io.Discard, in)
	if status := <-done; status != exitOK {
		t.Errorf("exit status %d", status)
	}
}

func TestCp_AGuestThatEndsLeavesNoFile(t *testing.T) {
	l := newLive(t)
	guest := t.TempDir()
	in, stdin, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	defer in.Close()
	c := &command{t: t, stdin: stdin, stdout: &buffer{}, stderr: &buffer{}}
	l.run(c, in, c.stdout, []string{"cp", "-", "dev:" + guest + "/in"})
	var archive bytes.Buffer
	if err := tar.NewWriter(&archive).WriteHeader(&tar.Header{Name: "f", Typeflag: tar.TypeReg, Size: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	if _, err := stdin.Write(append(archive.Bytes(), make([]byte, 1<<20)...)); err != nil {
		t.Fatal(err)
	}
	c.waitFor("the beginning in the guest", func() bool {
		left, err := os.ReadDir(guest)
		return err == nil && len(left) == 1
	})
	l.PowerOff(vmID(t, l, "dev"))
	if c.wait() != ExitFailure || !strings.Contains(c.stderr.String(), "connection to the guest broke") {
		t.Errorf("exit status %d, stderr %q", c.wait(), c.stderr)
	}
	if _, err := os.Lstat(guest + "/in"); !os.IsNotExist(err) {
		t.Errorf("under the final name there is something: %v", err)
	}
}

func vmID(t *testing.T, l *live, name string) banger.VMID {
	t.Helper()
	vm, err := l.VMs.GetVM(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return vm.ID
}

// Out of a VM that does not run a copy is made of its disks; to copy into it, it has to run.
func TestCp_OutOfAStoppedVMReadsItsDisks(t *testing.T) {
	top := t.TempDir()
	for name, path := range map[string]string{"system": "overlay-1/upper/etc/f", "work": "notes"} {
		file(t, filepath.Join(top, name, path), name)
		image := filepath.Join(top, name+".img")
		if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-d", filepath.Join(top, name), image, "32M").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	l := &live{hosttest.NewWith(t, bin, hosttest.Options{Disks: func(d machine.Disks) machine.Disks { return realDisks{d, top} }}), t}
	if _, err := l.VMs.CreateVM(t.Context(), banger.VMRequest{Name: "dev"}); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]string{"/etc/f": "system", "/root/notes": "work", "notes": "work"} {
		to := filepath.Join(t.TempDir(), "f")
		if c := l.cp("dev:"+from, to); c.wait() != exitOK {
			t.Errorf("%s: exit status %d, stderr %q", from, c.wait(), c.stderr)
		}
		has(t, to, want)
	}
	if c := l.cp("--no-start", top+"/work", "dev:/root/x"); c.wait() != ExitFailure || !strings.Contains(c.stderr.String(), "not running") {
		t.Errorf("into it: exit status %d, stderr %q", c.wait(), c.stderr)
	}
	if c := l.cp("--no-start", "-u", "nobody", "dev:/etc/f", top+"/x"); !strings.Contains(c.stderr.String(), "as user") {
		t.Errorf("as a user: exit status %d, stderr %q", c.wait(), c.stderr)
	}
}

// realDisks has real file systems in place of the disks of a VM.
type realDisks struct {
	machine.Disks
	dir string
}

func (d realDisks) ReadDisk(ctx context.Context, path string, f func(fs.FS) error) error {
	return ext4.ReadDisk(ctx, filepath.Join(d.dir, filepath.Base(path)), f)
}
