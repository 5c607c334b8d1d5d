package kmod

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"
)

// WriteIndexes writes modules.dep and modules.softdep into a directory of modules, of what the
// modules say of themselves, as depmod(8) does when a package with a kernel is installed.
func WriteIndexes(dir string) error {
	modules, err := list(dir)
	if err != nil {
		return fmt.Errorf("cannot list modules: %w", err)
	}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0)) // to unpack them takes most of the time
	for _, m := range modules {
		group.Go(func() error {
			if err := m.read(dir); err != nil {
				return fmt.Errorf("cannot read module %s: %w", m.path, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	paths := map[string]string{}
	for _, m := range modules {
		paths[Name(m.path)] = m.path
	}
	var dep, soft bytes.Buffer
	for _, m := range modules {
		fmt.Fprintf(&dep, "%s:", m.path)
		for _, name := range m.depends {
			path, ok := paths[name]
			if !ok {
				return fmt.Errorf("module %s depends on %s, which is not there", m.path, name)
			}
			fmt.Fprintf(&dep, " %s", path)
		}
		dep.WriteByte('\n')
		for _, s := range m.soft {
			fmt.Fprintf(&soft, "softdep %s %s\n", Name(m.path), s)
		}
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, DepName), dep.Bytes(), 0o600), os.WriteFile(filepath.Join(dir, softdepName), soft.Bytes(), 0o600))
}

// module is a module's file, by its path from the directory of all, and what it says.
type module struct {
	path    string
	depends []string // names
	soft    []string // softdep of modprobe.d(5)
}

// list returns the modules below a directory, by path.
func list(dir string) (modules []*module, err error) {
	err = filepath.WalkDir(filepath.Join(dir, tree), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !strings.Contains(e.Name(), ".ko") {
			return err
		}
		name, err := filepath.Rel(dir, path)
		modules = append(modules, &module{path: name})
		return err
	})
	return modules, err
}

// read reads what a module says: strings in a section of its own, each ended by a NUL.
func (m *module) read(dir string) error {
	f, err := os.Open(filepath.Join(dir, m.path))
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := Unpacked(f, m.path)
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, MaxModuleBytes+1))
	if err != nil {
		return err
	}
	if len(data) > MaxModuleBytes {
		return fmt.Errorf("it has more than %d bytes", MaxModuleBytes)
	}
	parsed, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return err
	}
	section := parsed.Section(".modinfo")
	if section == nil {
		return errors.New("it has no .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return err
	}
	for said := range strings.SplitSeq(string(info), "\x00") {
		key, value, _ := strings.Cut(said, "=")
		switch {
		case key == "depends" && value != "":
			for name := range strings.SplitSeq(value, ",") {
				m.depends = append(m.depends, strings.ReplaceAll(name, "-", "_"))
			}
		case key == "softdep":
			m.soft = append(m.soft, value)
		}
	}
	return nil
}
