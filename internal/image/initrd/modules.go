package initrd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"banger"
	"banger/internal/kmod"
)

// maxIndexBytes bounds modules.dep and its like; Debian's have less than 1 MiB.
const maxIndexBytes = 16 << 20

// moduleTree is the modules of one kernel, as depmod(8) described them. The
// paths in its files come from an image, so they are followed within it only.
type moduleTree struct {
	release string
	root    *os.Root
	deps    map[string]moduleDep // by name
	builtin map[string]bool
	soft    map[string][]string // names or aliases to load first, modprobe.d(5) softdep
}

type moduleDep struct {
	path string
	deps []string // paths
}

// openModules reads the indexes in dir, which is named by the kernel's release.
func openModules(dir string) (*moduleTree, error) {
	release := filepath.Base(dir)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, banger.Errorf(banger.CodeCorrupt, "cannot find modules of kernel %s: %w", release, err)
	}
	t := &moduleTree{release: release, root: root, deps: map[string]moduleDep{}, builtin: map[string]bool{}, soft: map[string][]string{}}
	if err := t.readIndexes(); err != nil {
		root.Close()
		return nil, banger.Errorf(banger.CodeCorrupt, "cannot read modules of kernel %s: %w", release, err)
	}
	return t, nil
}

func (t *moduleTree) close() { t.root.Close() }

func (t *moduleTree) readIndexes() error {
	err := t.eachLine("modules.dep", func(line string) {
		if p, deps, ok := strings.Cut(line, ":"); ok {
			t.deps[kmod.Name(p)] = moduleDep{path: p, deps: strings.Fields(deps)}
		}
	})
	if err != nil {
		return err
	}
	err = t.eachLine("modules.builtin", func(line string) { t.builtin[kmod.Name(line)] = true })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = t.eachLine("modules.softdep", func(line string) {
		fields := strings.Fields(line)
		if len(fields) > 3 && fields[0] == "softdep" && fields[2] == "pre:" {
			name := kmod.Name(fields[1])
			t.soft[name] = append(t.soft[name], untilPost(fields[3:])...)
		}
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// untilPost returns the fields before "post:".
func untilPost(fields []string) []string {
	for i, f := range fields {
		if f == "post:" {
			return fields[:i]
		}
	}
	return fields
}

func (t *moduleTree) eachLine(name string, fn func(string)) error {
	f, err := t.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := readAtMost(f, name, maxIndexBytes)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			fn(line)
		}
	}
	return nil
}

// order returns the paths of the modules and all that they depend on, each
// after what it depends on and once.
func (t *moduleTree) order(required, optional []string) ([]string, error) {
	o := moduleOrder{tree: t, seen: map[string]bool{}}
	for _, name := range required {
		if !t.known(name) {
			return nil, banger.Errorf(banger.CodeCorrupt, "cannot find module %s: kernel %s does not have it", name, t.release)
		}
		if err := o.add(name); err != nil {
			return nil, err
		}
	}
	for _, name := range optional {
		if t.known(name) {
			if err := o.add(name); err != nil {
				return nil, err
			}
		}
	}
	return o.paths, nil
}

func (t *moduleTree) known(name string) bool {
	name = kmod.Name(name)
	_, ok := t.deps[name]
	return ok || t.builtin[name]
}

// moduleOrder collects modules depth first.
type moduleOrder struct {
	tree  *moduleTree
	seen  map[string]bool // before its dependencies, so that a cycle ends
	paths []string
}

func (o *moduleOrder) add(name string) error {
	name = kmod.Name(name)
	if o.seen[name] {
		return nil
	}
	o.seen[name] = true
	m, ok := o.tree.deps[name]
	if !ok {
		if o.tree.builtin[name] {
			return nil
		}
		return banger.Errorf(banger.CodeCorrupt, "cannot find module %s: another one depends on it, and kernel %s does not have it", name, o.tree.release)
	}
	for _, soft := range o.tree.soft[name] {
		if o.tree.known(soft) { // else it is an alias, or was left out: soft
			if err := o.add(soft); err != nil {
				return err
			}
		}
	}
	for _, dep := range m.deps {
		if err := o.add(dep); err != nil {
			return err
		}
	}
	o.paths = append(o.paths, m.path)
	return nil
}

// read returns a module's bytes as finit_module(2) takes them.
func (t *moduleTree) read(p string) ([]byte, error) {
	f, err := t.root.Open(p)
	if err != nil {
		return nil, banger.Errorf(banger.CodeCorrupt, "cannot read module %s of kernel %s: %w", kmod.Name(p), t.release, err)
	}
	defer f.Close()
	r, err := kmod.Unpacked(f, p)
	if err != nil {
		return nil, banger.Errorf(banger.CodeCorrupt, "cannot read module %s of kernel %s: %w", kmod.Name(p), t.release, err)
	}
	defer r.Close()
	data, err := readAtMost(r, p, kmod.MaxModuleBytes)
	if err != nil {
		return nil, banger.Errorf(banger.CodeCorrupt, "cannot read module %s of kernel %s: %w", kmod.Name(p), t.release, err)
	}
	return data, nil
}
