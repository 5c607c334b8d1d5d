package initrd

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/u-root/u-root/pkg/cpio"

	"banger/internal/guestconfig"
	"banger/internal/kmod"
)

// BaseFiles are the parts of a base initrd; all paths are on the host.
type BaseFiles struct {
	Agent      string // static binary, the guest's /init
	Shim       string // static binary
	ModulesDir string // holds modules.dep; named by the kernel's release
	// Modules are put in with what they depend on, in the order of loading. One
	// that is built into the kernel is left out; - and _ are the same in names.
	Modules  []string
	Optional []string // the same, but left out if the kernel has none of that name
}

// WithDefaultModules returns f with the modules that a guest of any driver
// needs: the bus and devices of a virtual machine, the file systems of its
// disks, and the power button.
func (f BaseFiles) WithDefaultModules() BaseFiles {
	f.Modules = []string{"virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net", "virtio_console", "ext4", "overlay", "button", "evdev"}
	// ext4 asks for crc32c by itself only where user space can load modules.
	f.Optional = []string{"virtio_rng", "crc32c_generic"}
	return f
}

// moduleDir is where the modules lie in the initrd.
const moduleDir = "/banger/ko"

// maxBinaryBytes bounds a program that is read into memory for an initrd.
const maxBinaryBytes = 128 << 20

// Base writes the archive that all VMs of an image share.
func Base(w io.Writer, f BaseFiles) error {
	agent, err := readBounded(f.Agent, maxBinaryBytes)
	if err != nil {
		return fmt.Errorf("cannot write initrd: %w", err)
	}
	shim, err := readBounded(f.Shim, maxBinaryBytes)
	if err != nil {
		return fmt.Errorf("cannot write initrd: %w", err)
	}
	records := []cpio.Record{
		cpio.Directory("dev", 0o755),
		cpio.CharDev("dev/console", 0o600, 5, 1), // the kernel opens it as init's stdin, stdout and stderr
		cpio.Directory("proc", 0o555),
		cpio.Directory("sys", 0o555),
		cpio.Directory(path.Dir(guestconfig.InitrdConfig), 0o700),
		cpio.Directory(moduleDir, 0o700),
		file(guestconfig.InitrdAgent, agent, 0o755),
		file(guestconfig.InitrdShim, shim, 0o755),
	}
	modules, err := moduleRecords(f)
	if err != nil {
		return err
	}
	return writeArchive(w, append(records, modules...))
}

// moduleRecords returns the modules of f and the list of them.
func moduleRecords(f BaseFiles) ([]cpio.Record, error) {
	tree, err := openModules(f.ModulesDir)
	if err != nil {
		return nil, err
	}
	defer tree.close()
	paths, err := tree.order(f.Modules, f.Optional)
	if err != nil {
		return nil, err
	}
	var records []cpio.Record
	var list strings.Builder
	for _, p := range paths {
		data, err := tree.read(p)
		if err != nil {
			return nil, err
		}
		name := path.Join(moduleDir, kmod.Name(p)+".ko")
		records = append(records, file(name, data, 0o600))
		fmt.Fprintln(&list, name)
	}
	return append(records, file(guestconfig.InitrdModules, []byte(list.String()), 0o600)), nil
}

// Config writes the archive with the configuration of one VM, to follow a base.
// It holds a private key.
func Config(w io.Writer, c guestconfig.Config) error {
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("cannot write initrd: %w", err)
	}
	return writeArchive(w, []cpio.Record{file(guestconfig.InitrdConfig, data, 0o600)})
}

func file(name string, data []byte, perm uint64) cpio.Record {
	return cpio.StaticRecord(data, cpio.Info{Name: name, Mode: cpio.S_IFREG | perm})
}

// writeArchive writes one whole archive. Its length is a multiple of four, as
// the kernel wants of an archive that another one follows.
func writeArchive(w io.Writer, records []cpio.Record) error {
	cw := cpio.Newc.Writer(w)
	if err := cpio.WriteRecords(cw, records); err != nil {
		return fmt.Errorf("cannot write initrd: %w", err)
	}
	if err := cpio.WriteTrailer(cw); err != nil {
		return fmt.Errorf("cannot write initrd: %w", err)
	}
	return nil
}

// readBounded reads a whole file of at most limit bytes.
func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAtMost(f, name, limit)
}

func readAtMost(r io.Reader, name string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("cannot read %s: it has more than %d bytes", name, limit)
	}
	return data, nil
}
