package control

import (
	"fmt"
	"os"
	"path/filepath"

	"banger/internal/agent/aging"
)

// program is one that is started again and again, for weeks. It is opened once: its name
// may lie in a directory of everybody's, from which it is removed one day, and where
// others may then make a program of that name.
type program struct {
	name string
	file *os.File // nil if it could not be opened: a start will say why
}

func openProgram(name string) program {
	f, err := os.Open(name)
	if err != nil {
		f = nil
	}
	return program{name, f}
}

// path returns what execve(2) takes for it: the descriptor of this process, which the
// child finds by the pid, whatever its own descriptors are.
func (p program) path() string {
	if p.file == nil {
		return p.name
	}
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), p.file.Fd())
	if _, err := os.Stat(path); err != nil {
		return p.name // there is no /proc
	}
	return path
}

func (p program) close() {
	if p.file != nil {
		p.file.Close()
	}
}

// excludeFromAging keeps the sessions and the programs from being removed until end is
// called, wherever they lie. A directory that is not there yet, or cannot be
// locked, is left as it is.
func excludeFromAging(sessionsDir, shimPath string) (end func()) {
	var held []*os.File
	for _, dir := range []string{filepath.Dir(sessionsDir), filepath.Dir(shimPath), filepath.Dir(filepath.Dir(shimPath))} {
		if f, err := aging.Exclude(dir); err == nil {
			held = append(held, f)
		}
	}
	return func() {
		for _, f := range held {
			f.Close()
		}
	}
}
