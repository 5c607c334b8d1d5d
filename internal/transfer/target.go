package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"banger"
)

// target is where a copy goes: a name in a directory. What the user has named is followed, as
// with any program; below it nothing is.
type target struct {
	parent *osDir
	name   string // "." if the contents go into the directory itself
	merge  bool   // it is a directory that is there already
	shown  string // the path as a user knows it
}

func (t *target) close() { t.parent.Close() }

// findTarget finds the place of a source at a path of this machine. docs/COPY.md has the table
// of what that is.
func findTarget(p string, s Source) (*target, error) {
	refuse := func(format string, args ...any) (*target, error) {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot copy to %q: "+format, append([]any{p}, args...)...)
	}
	st, err := os.Stat(p)
	switch {
	case err == nil && st.IsDir():
		return intoDir(p, s)
	case err == nil && wantsDir(p):
		return refuse("it is not a directory")
	case err == nil && s.Form == FormDir:
		return refuse("it is not a directory, and the source is")
	case err == nil && !st.Mode().IsRegular():
		return refuse("it is not a regular file; - is the standard output")
	case err == nil:
		real, err := filepath.EvalSymlinks(p) // a link stays; what it leads to is replaced
		if err != nil {
			return nil, err
		}
		return openTarget(filepath.Dir(real), filepath.Base(real), p)
	case errors.Is(err, unix.ENOTDIR) && wantsDir(p):
		return refuse("it is not a directory")
	case !errors.Is(err, fs.ErrNotExist):
		return nil, banger.Errorf(banger.CodeInvalid, "cannot copy to %q: %w", p, pathCause(err))
	}
	clean := strings.TrimRight(p, "/")
	if to, err := os.Readlink(clean); err == nil {
		return refuse("it is a link to %q, which does not exist", to)
	}
	if wantsDir(p) && s.Form != FormDir {
		return refuse("the directory does not exist")
	}
	parent, name := filepath.Split(clean)
	if parent == "" {
		parent = "."
	}
	if !validName(name) {
		return refuse("the directory does not exist")
	}
	return openTarget(parent, name, p)
}

// intoDir is the place of a source in a directory that is there.
func intoDir(p string, s Source) (*target, error) {
	if s.Form == FormDir && s.Contents {
		t, err := openTarget(p, ".", p)
		if err == nil {
			t.merge = true
		}
		return t, err
	}
	name := string(s.Name)
	if !validName(name) {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot copy to %q: the source has no name of its own", p)
	}
	t, err := openTarget(p, name, filepath.Join(p, name))
	if err != nil {
		return nil, err
	}
	a, err := t.parent.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t, nil
	case err != nil:
	case a.Type == Directory && s.Form == FormDir:
		t.merge = true
		return t, nil
	case a.Type == Directory:
		err = errors.New("it is a directory, and the source is not")
	case s.Form == FormDir:
		err = errors.New("it is not a directory, and the source is")
	case a.Type == Other:
		err = errors.New("it is not a regular file")
	default:
		return t, nil
	}
	t.close()
	return nil, banger.Errorf(banger.CodeInvalid, "cannot copy to %q: %w", t.shown, err)
}

func openTarget(parent, name, shown string) (*target, error) {
	dir, err := openDirAt(unix.AT_FDCWD, parent, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, banger.Errorf(banger.CodeNotFound, "cannot copy to %q: the directory %q does not exist", shown, parent).
			WithHint("create it first")
	}
	if err != nil {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot copy to %q: %w", shown, fmt.Errorf("cannot open directory %q: %w", parent, err))
	}
	return &target{parent: dir, name: name, shown: shown}, nil
}

func pathCause(err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		return inner.Err
	}
	return err
}
