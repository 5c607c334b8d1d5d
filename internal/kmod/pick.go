package kmod

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Bounds of a kernel and its modules, as packages have them.
const (
	maxKernelBytes     = 256 << 20
	maxModuleFileBytes = 256 << 20
	maxModuleFiles     = 50_000
	maxModulesBytes    = 4 << 30
)

// Where a system has its kernel and modules, and where Picker puts them.
const (
	kernelPrefix  = "boot/vmlinuz-"
	modulesPrefix = "lib/modules/" // usr/ before it is cut off
	tree          = "kernel"       // below the release

	KernelName  = "vmlinuz"
	ModulesName = "modules" // has a directory named by the release
	DepName     = "modules.dep"
	builtinName = "modules.builtin"
	softdepName = "modules.softdep"
)

// Picker takes the only kernel of a system, and its modules, out of the system's files.
type Picker struct {
	Dir     string // where they are put
	Release string // of the kernel, once it was found

	files int // of modules
	bytes int64
}

// File takes a file of the system if it is of the kernel. name is clean and relative.
func (p *Picker) File(name string, size int64, r io.Reader) error {
	if release, ok := strings.CutPrefix(name, kernelPrefix); ok && !strings.Contains(release, "/") {
		if p.Release != "" {
			return fmt.Errorf("there is another kernel, %s", p.Release)
		}
		p.Release = release
		return p.save(KernelName, size, maxKernelBytes, r)
	}
	if module, ok := strings.CutPrefix(strings.TrimPrefix(name, "usr/"), modulesPrefix); ok && wanted(module) {
		p.files++
		p.bytes += size
		if p.files > maxModuleFiles || p.bytes > maxModulesBytes {
			return fmt.Errorf("there are more than %d modules or %d bytes of them", maxModuleFiles, int64(maxModulesBytes))
		}
		return p.save(filepath.Join(ModulesName, module), size, maxModuleFileBytes, r)
	}
	return nil
}

// Check makes sure that all parts were there.
func (p *Picker) Check() error {
	if p.Release == "" {
		return errors.New("cannot find a kernel in the system")
	}
	if _, err := os.Stat(p.Modules()); err != nil {
		return fmt.Errorf("cannot find the modules of kernel %s in the system: %w", p.Release, err)
	}
	return nil
}

// Modules is the directory of the kernel's modules.
func (p *Picker) Modules() string { return filepath.Join(p.Dir, ModulesName, p.Release) }

// wanted reports whether a file below lib/modules is needed to find and load a module by its
// name: the modules and three indexes.
func wanted(name string) bool {
	_, rest, ok := strings.Cut(name, "/")
	if !ok {
		return false
	}
	switch rest {
	case DepName, builtinName, softdepName:
		return true
	}
	return strings.HasPrefix(rest, tree+"/")
}

// save writes a file of a known size below the directory.
func (p *Picker) save(name string, size, limit int64, r io.Reader) error {
	if size > limit {
		return fmt.Errorf("it has %d bytes; at most %d are allowed", size, limit)
	}
	to := filepath.Join(p.Dir, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
