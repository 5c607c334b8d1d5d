package initrd

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"
	"github.com/ulikunitz/xz"

	"banger"
	"banger/internal/guestconfig"
	"banger/internal/kmod"
)

// testKernel writes a tree like Debian's, with one module of each compression,
// and returns the files of a base initrd with it.
func testKernel(t *testing.T) BaseFiles {
	t.Helper()
	dir := t.TempDir()
	modules := filepath.Join(dir, "modules", "6.1.0-test")
	files := map[string][]byte{
		"modules.dep": []byte(`kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko.xz
kernel/drivers/virtio/virtio_ring.ko.xz:
kernel/drivers/virtio/virtio_pci.ko.zst: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko.xz
kernel/drivers/char/hw_random/virtio-rng.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko.xz
kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko
kernel/fs/jbd2/jbd2.ko:
kernel/crypto/crc32c_generic.ko:
kernel/broken.ko: kernel/gone.ko
`),
		"modules.builtin":                             []byte("kernel/drivers/block/virtio_blk.ko\n"),
		"modules.softdep":                             []byte("# made by hand\nsoftdep ext4 pre: crc32c-generic crypto-alias post: virtio_pci\n"),
		"kernel/drivers/virtio/virtio.ko":             []byte("virtio"),
		"kernel/drivers/virtio/virtio_ring.ko.xz":     compress(t, "ring", func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }),
		"kernel/drivers/virtio/virtio_pci.ko.zst":     compress(t, "pci", func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }),
		"kernel/drivers/char/hw_random/virtio-rng.ko": []byte("rng"),
		"kernel/fs/ext4/ext4.ko":                      []byte("ext4"),
		"kernel/fs/jbd2/jbd2.ko":                      []byte("jbd2"),
		"kernel/crypto/crc32c_generic.ko":             []byte("crc"),
	}
	for name, data := range files {
		write(t, filepath.Join(modules, name), data)
	}
	f := BaseFiles{Agent: filepath.Join(dir, "agent"), Shim: filepath.Join(dir, "shim"), ModulesDir: modules}
	write(t, f.Agent, []byte("the agent"))
	write(t, f.Shim, []byte("the shim"))
	return f
}

func compress(t *testing.T, text string, open func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := open(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// records reads one archive and returns its records by name, and its length.
func records(t *testing.T, archive []byte) map[string]cpio.Record {
	t.Helper()
	list, err := cpio.ReadAllRecords(cpio.Newc.Reader(bytes.NewReader(archive)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]cpio.Record{}
	for _, r := range list {
		if _, ok := out["/"+r.Name]; ok {
			t.Errorf("archive has %s twice", r.Name)
		}
		out["/"+r.Name] = r
	}
	return out
}

func content(t *testing.T, r cpio.Record) string {
	t.Helper()
	data, err := io.ReadAll(io.NewSectionReader(r, 0, int64(r.FileSize)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func base(t *testing.T, f BaseFiles) map[string]cpio.Record {
	t.Helper()
	var b bytes.Buffer
	if err := Base(&b, f); err != nil {
		t.Fatal(err)
	}
	return records(t, b.Bytes())
}

func TestBase_LoadsModulesAfterWhatTheyDependOn(t *testing.T) {
	f := testKernel(t)
	f.Modules = []string{"virtio-pci", "virtio_blk", "ext4"}
	f.Optional = []string{"virtio_rng", "nothing_of_that_name"}
	got := base(t, f)
	list := strings.Fields(content(t, got[guestconfig.InitrdModules]))
	want := []string{"virtio_ring", "virtio", "virtio_pci", "crc32c_generic", "jbd2", "ext4", "virtio_rng"}
	var names, contents []string
	for _, p := range list {
		names = append(names, kmod.Name(p))
		contents = append(contents, content(t, got[p]))
	}
	if !slices.Equal(names, want) {
		t.Errorf("order is %v, want %v", names, want)
	}
	if want := []string{"ring", "virtio", "pci", "crc", "jbd2", "ext4", "rng"}; !slices.Equal(contents, want) {
		t.Errorf("modules hold %q, want %q", contents, want)
	}
}

func TestBase_HasWhatTheKernelAndTheAgentNeed(t *testing.T) {
	got := base(t, testKernel(t))
	for name, mode := range map[string]uint64{
		guestconfig.InitrdAgent: cpio.S_IFREG | 0o755,
		guestconfig.InitrdShim:  cpio.S_IFREG | 0o755,
		"/dev/console":          cpio.S_IFCHR | 0o600,
		"/proc":                 cpio.S_IFDIR | 0o555,
	} {
		if got[name].Mode != mode {
			t.Errorf("%s has mode %o, want %o", name, got[name].Mode, mode)
		}
	}
	if c := got["/dev/console"]; c.Rmajor != 5 || c.Rminor != 1 {
		t.Errorf("/dev/console is device %d:%d, want 5:1", c.Rmajor, c.Rminor)
	}
	if got := content(t, got[guestconfig.InitrdAgent]); got != "the agent" {
		t.Errorf("/init is %q", got)
	}
}

func TestBase_NamesTheModuleThatIsMissing(t *testing.T) {
	for _, module := range []string{"no_such", "broken"} {
		f := testKernel(t)
		f.Modules = []string{module}
		err := Base(io.Discard, f)
		want := map[string]string{"no_such": "no_such", "broken": "gone"}[module]
		if banger.CodeOf(err) != banger.CodeCorrupt || !strings.Contains(err.Error(), want) {
			t.Errorf("Base with %s: %v, want an error that names %s", module, err, want)
		}
	}
}

// An xz stream says how much memory its reader needs; the .xz file format, section 5.3.1.
func TestBase_AModuleDoesNotChooseHowMuchMemoryItTakes(t *testing.T) {
	f := testKernel(t)
	f.Modules = []string{"virtio_ring"}
	file := filepath.Join(f.ModulesDir, "kernel/drivers/virtio/virtio_ring.ko.xz")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const streamHeader = 12
	header := data[streamHeader:][:(int(data[streamHeader])+1)*4] // the first block's
	i := bytes.Index(header, []byte{0x21, 1})                     // LZMA2, with one byte of properties
	if i < 0 {
		t.Fatalf("no LZMA2 filter in %x", header)
	}
	header[i+2] = 40 // 4 GiB less one byte
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	write(t, file, data)
	if err := Base(io.Discard, f); banger.CodeOf(err) != banger.CodeCorrupt || !strings.Contains(err.Error(), "dictionary") {
		t.Errorf("got %v", err)
	}
}

func TestBase_NeverLeavesTheModulesFolder(t *testing.T) {
	f := testKernel(t)
	write(t, filepath.Join(f.ModulesDir, "modules.dep"), []byte("../../agent.ko:\nkernel/link.ko:\n"))
	write(t, filepath.Join(filepath.Dir(f.Agent), "agent.ko"), []byte("outside"))
	if err := os.Symlink(f.Agent, filepath.Join(f.ModulesDir, "kernel/link.ko")); err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"agent", "link"} {
		f.Modules = []string{module}
		if err := Base(io.Discard, f); err == nil {
			t.Errorf("Base put in module %s from outside", module)
		}
	}
}

func TestBase_EndsWithACycleOfDependencies(t *testing.T) {
	f := testKernel(t)
	write(t, filepath.Join(f.ModulesDir, "modules.dep"), []byte("kernel/a.ko: kernel/b.ko\nkernel/b.ko: kernel/a.ko\n"))
	write(t, filepath.Join(f.ModulesDir, "kernel/a.ko"), nil)
	write(t, filepath.Join(f.ModulesDir, "kernel/b.ko"), nil)
	f.Modules = []string{"a"}
	if list := content(t, base(t, f)[guestconfig.InitrdModules]); strings.Count(list, "\n") != 2 {
		t.Errorf("a cycle of two modules gives the list %q", list)
	}
}

func TestConfig_IsPrivateAndMayFollowABase(t *testing.T) {
	cfg := guestconfig.Config{Hostname: "odd", SSHHostKey: "secret"}
	f := testKernel(t)
	var b bytes.Buffer
	if err := Base(&b, f); err != nil {
		t.Fatal(err)
	}
	if b.Len()%4 != 0 {
		t.Fatalf("base has %d bytes; a multiple of 4 is needed", b.Len())
	}
	at := b.Len()
	if err := Config(&b, cfg); err != nil {
		t.Fatal(err)
	}
	r := records(t, b.Bytes()[at:])[guestconfig.InitrdConfig]
	if r.Mode != cpio.S_IFREG|0o600 {
		t.Errorf("config has mode %o, want 0600", r.Mode)
	}
	var got guestconfig.Config
	if err := json.Unmarshal([]byte(content(t, r)), &got); err != nil || got.SSHHostKey != "secret" {
		t.Errorf("config is %+v, %v", got, err)
	}
}

func TestReadAtMost_RefusesWhatIsTooLong(t *testing.T) {
	if _, err := readAtMost(strings.NewReader("12345"), "module", 4); err == nil {
		t.Error("five bytes were read with a limit of four")
	}
	if data, err := readAtMost(strings.NewReader("1234"), "module", 4); err != nil || string(data) != "1234" {
		t.Errorf("four bytes with a limit of four: %q, %v", data, err)
	}
	failing := io.MultiReader(strings.NewReader("1"), errReader{})
	if _, err := readAtMost(failing, "module", 4); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a failing reader gives %v", err)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
