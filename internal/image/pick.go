package image

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Bounds of what is picked from a system, which its packages' scripts made.
const (
	maxKernelBytes   = 256 << 20
	maxModuleBytes   = 256 << 20
	maxModuleFiles   = 50_000
	maxModulesBytes  = 4 << 30
	maxPackageLine   = 16 << 20
	packageDatabase  = "var/lib/dpkg/status"
	kernelPrefix     = "boot/vmlinuz-"
	modulesPrefix    = "lib/modules/" // usr/ before it is cut off
	moduleTree       = "kernel"       // below the release
	moduleDependency = "modules.dep"
)

// picked is what a VM needs of a system outside of its root file system.
type picked struct {
	dir      string // where it is written
	release  string // of the kernel
	packages int
	files    int // of modules
	bytes    int64
}

// pick reads the tar stream of a system to its end and writes the kernel, its
// modules and the list of packages into dir.
func pick(r io.Reader, dir string) (picked, error) {
	p := picked{dir: dir}
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return p, fmt.Errorf("cannot read tar: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := p.file(strings.TrimPrefix(path.Clean("/"+h.Name), "/"), h.Size, t); err != nil {
			return p, fmt.Errorf("cannot pick %s from the system: %w", h.Name, err)
		}
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return p, fmt.Errorf("cannot read tar: %w", err)
	}
	return p, p.check()
}

// file looks at one file of the system; name is clean and relative.
func (p *picked) file(name string, size int64, r io.Reader) error {
	if release, ok := strings.CutPrefix(name, kernelPrefix); ok && !strings.Contains(release, "/") {
		if p.release != "" {
			return fmt.Errorf("there is another kernel, %s", p.release)
		}
		p.release = release
		return p.save(kernelName, size, maxKernelBytes, r)
	}
	if name == packageDatabase {
		return p.listPackages(r)
	}
	if module, ok := strings.CutPrefix(strings.TrimPrefix(name, "usr/"), modulesPrefix); ok && wantedModule(module) {
		p.files++
		p.bytes += size
		if p.files > maxModuleFiles || p.bytes > maxModulesBytes {
			return fmt.Errorf("there are more than %d modules or %d bytes of them", maxModuleFiles, int64(maxModulesBytes))
		}
		return p.save(filepath.Join(modulesName, module), size, maxModuleBytes, r)
	}
	return nil
}

// wantedModule reports whether a file below lib/modules is needed to find and
// load a module by its name: the modules and three indexes.
func wantedModule(name string) bool {
	_, rest, ok := strings.Cut(name, "/")
	if !ok {
		return false
	}
	switch rest {
	case moduleDependency, "modules.builtin", "modules.softdep":
		return true
	}
	return strings.HasPrefix(rest, moduleTree+"/")
}

// save writes a file of a known size below dir.
func (p *picked) save(name string, size, limit int64, r io.Reader) error {
	if size > limit {
		return fmt.Errorf("it has %d bytes; at most %d are allowed", size, limit)
	}
	to := filepath.Join(p.dir, name)
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

// listPackages writes packages.txt from dpkg's database, deb-control(5): one
// paragraph a package.
func (p *picked) listPackages(r io.Reader) error {
	f, err := os.OpenFile(filepath.Join(p.dir, packagesName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriter(f)
	var name, version, arch string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxPackageLine)
	for more := true; more; {
		more = lines.Scan()
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case key == "Package":
			name = value
		case key == "Version":
			version = value
		case key == "Architecture":
			arch = value
		case key == "" && name != "": // the end of a paragraph, or of the file
			p.packages++
			fmt.Fprintln(out, name, version, arch) // its error comes with Flush
			name, version, arch = "", "", ""
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return out.Flush()
}

// check makes sure that all parts were there.
func (p *picked) check() error {
	switch {
	case p.release == "":
		return errors.New("cannot find a kernel in the system")
	case p.packages == 0:
		return errors.New("cannot find a package database in the system")
	}
	if _, err := os.Stat(filepath.Join(p.dir, modulesName, p.release, moduleDependency)); err != nil {
		return fmt.Errorf("cannot find the modules of kernel %s in the system: %w", p.release, err)
	}
	return nil
}
