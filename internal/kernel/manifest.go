package kernel

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"banger"
	"banger/internal/files"
	"banger/internal/kmod"
)

// The names in a kernel's directory.
const (
	manifestName = "kernel.json"
	vmlinuzName  = kmod.KernelName
	vmlinuxName  = "vmlinux"
	modulesName  = kmod.ModulesName
)

// manifestFormat is the version of the layout. maxManifestBytes is far more than a manifest
// ever has.
const (
	manifestFormat   = 1
	maxManifestBytes = 1 << 20
)

// manifest is kernel.json.
type manifest struct {
	PulledAt time.Time       `json:"pulled_at"`
	Suite    string          `json:"suite,omitempty"`
	Mirror   string          `json:"mirror,omitempty"`
	Content  content         `json:"content"`
	Vmlinuz  files.Facts     `json:"vmlinuz"`
	Vmlinux  *files.Facts    `json:"vmlinux,omitempty"` // nil: it boots as it is only
	Modules  files.TreeFacts `json:"modules"`
}

// content is what a kernel is: its digest is the kernel's id.
type content struct {
	Format       int    `json:"format"`
	Release      string `json:"release"`
	Version      string `json:"version"`
	Package      string `json:"package,omitempty"`
	Architecture string `json:"architecture"`
	Digest       string `json:"digest"` // "sha256:…", as banger.Kernel has it
}

// id returns the id of a kernel with this content: 100 bits of its SHA-256.
func (c content) id() (banger.KernelID, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return banger.KernelID(strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:20]), nil
}

// kernel returns the record of a kernel, without its users.
func (m manifest) kernel(id banger.KernelID) banger.Kernel {
	k := banger.Kernel{
		ID: id, Release: m.Content.Release, Version: m.Content.Version, Package: m.Content.Package, Suite: m.Suite,
		Architecture: m.Content.Architecture, Digest: m.Content.Digest,
		SizeBytes: m.Vmlinuz.Size + m.Modules.Size, VMs: []string{}, PulledAt: m.PulledAt,
	}
	if m.Vmlinux != nil {
		k.SizeBytes += m.Vmlinux.Size
	}
	return k
}

// pullArguments is what follows "banger kernel pull" to get it again.
func (m manifest) pullArguments() string {
	arguments := m.Content.Package
	suite := strings.TrimSuffix(strings.TrimSuffix(m.Suite, "-security"), "-updates")
	if suite != banger.DefaultSuite {
		arguments += " --suite " + suite
	}
	if m.Mirror != "" {
		arguments += " --mirror " + m.Mirror
	}
	return arguments
}

func (m manifest) modulesDir(dir string) string {
	return filepath.Join(dir, modulesName, m.Content.Release)
}

// readManifest reads the manifest in dir and checks it against the id.
func readManifest(dir string, id banger.KernelID) (manifest, error) {
	var m manifest
	f, err := os.Open(filepath.Join(dir, manifestName))
	if err != nil {
		return m, fmt.Errorf("its file %s cannot be read: %w", manifestName, err)
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxManifestBytes)).Decode(&m); err != nil {
		return m, fmt.Errorf("its file %s cannot be read: %w", manifestName, err)
	}
	if m.Content.Format != manifestFormat {
		return m, fmt.Errorf("its file %s has format %d; this banger knows %d", manifestName, m.Content.Format, manifestFormat)
	}
	is, err := m.Content.id()
	if err != nil {
		return m, err
	}
	if is != id || !filepath.IsLocal(m.Content.Release) {
		return m, fmt.Errorf("its file %s was changed", manifestName)
	}
	return m, nil
}

// write writes the manifest into dir.
func (m manifest) write(dir string) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, manifestName), append(data, '\n'), 0o600)
}

// sums are the facts of the files of a kernel, by name.
func (m manifest) sums() map[string]files.Facts {
	sums := map[string]files.Facts{vmlinuzName: m.Vmlinuz}
	if m.Vmlinux != nil {
		sums[vmlinuxName] = *m.Vmlinux
	}
	return sums
}

// checkFiles checks that the files are there and have their sizes, which costs no reading. Of
// the modules it checks the index.
func (m manifest) checkFiles(dir string) error {
	for name, sum := range m.sums() {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("its file %s cannot be read: %w", name, err)
		}
		if info.Size() != sum.Size {
			return fmt.Errorf("its file %s has %d bytes instead of %d", name, info.Size(), sum.Size)
		}
	}
	if _, err := os.Stat(filepath.Join(m.modulesDir(dir), kmod.DepName)); err != nil {
		return fmt.Errorf("its modules cannot be read: %w", err)
	}
	return nil
}

// measure notes the facts of the files in dir.
func (m *manifest) measure(dir string) (err error) {
	if m.Vmlinuz, err = files.Measure(filepath.Join(dir, vmlinuzName)); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, vmlinuxName)); err == nil {
		facts, err := files.Measure(filepath.Join(dir, vmlinuxName))
		if err != nil {
			return err
		}
		m.Vmlinux = &facts
	}
	m.Modules, err = files.MeasureTree(filepath.Join(dir, modulesName))
	return err
}

// Verify reads every byte of a kernel and compares it with what came. A difference is
// CodeCorrupt, naming the file.
func (s *Service) Verify(id banger.KernelID) error {
	dir := s.dir(id)
	m, err := readManifest(dir, id)
	is := m
	if err == nil {
		err = is.measure(dir)
	}
	if err == nil {
		for name, want := range m.sums() {
			if got := is.sums()[name]; got != want {
				err = fmt.Errorf("its file %s has %d bytes with the SHA-256 %s instead of %d with %s", name, got.Size, got.SHA256, want.Size, want.SHA256)
			}
		}
		if is.Modules != m.Modules {
			err = fmt.Errorf("its modules are not those that came with it")
		}
	}
	if err != nil {
		return s.corrupt(id, m, err)
	}
	return nil
}
