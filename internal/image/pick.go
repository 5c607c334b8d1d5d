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

	"banger/internal/kmod"
)

// What is picked beside the kernel.
const (
	maxPackageLine  = 16 << 20
	packageDatabase = "var/lib/dpkg/status"
)

// picked is what a VM needs of a system outside of its root file system.
type picked struct {
	kernel   kmod.Picker
	packages int
}

// pick reads the tar stream of a system to its end and writes the kernel, its
// modules and the list of packages into dir.
func pick(r io.Reader, dir string) (picked, error) {
	p := picked{kernel: kmod.Picker{Dir: dir}}
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
	if name == packageDatabase {
		return p.listPackages(r)
	}
	return p.kernel.File(name, size, r)
}

// listPackages writes packages.txt from dpkg's database, deb-control(5): one
// paragraph a package.
func (p *picked) listPackages(r io.Reader) error {
	f, err := os.OpenFile(filepath.Join(p.kernel.Dir, packagesName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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
	if err := p.kernel.Check(); err != nil {
		return err
	}
	if p.packages == 0 {
		return errors.New("cannot find a package database in the system")
	}
	if _, err := os.Stat(filepath.Join(p.kernel.Modules(), kmod.DepName)); err != nil {
		return fmt.Errorf("cannot find the modules of kernel %s in the system: %w", p.kernel.Release, err)
	}
	return nil
}
