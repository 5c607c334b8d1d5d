package machine

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"banger/internal/guestconfig"
	"banger/internal/overlay"
)

// guestTree is the files of a guest as that sees them: its image under the overlay on the
// system disk, and its work disk where it is mounted. It is an fs.StatFS whose Stat follows no
// link, as those of which it is made.
type guestTree struct {
	system *overlay.FS
	work   fs.StatFS
	mounts []mounted // the longest path first
}

// mounted is a directory of the work disk that is mounted somewhere.
type mounted struct{ at, dir string }

// Where a guest of ours puts things; internal/agent/pid1 does.
const (
	overlayUpper = "overlay-1/upper"           // on the system disk
	homesOnDisk  = ".local/state/banger/homes" // on the work disk: homes of other users, by their ids
	maxUserLine  = 64 << 10                    // of /etc/passwd
	passwdFile   = "etc/passwd"
)

// errNotStat says that a file system is not one that this package reads.
var errNotStat = errors.New("the file system has no Stat")

// newGuestTree puts a guest's disks together; images has the uppermost first. A system disk
// without an overlay is one that was never used.
func newGuestTree(images []fs.FS, system, work fs.FS) (*guestTree, error) {
	var layers []fs.StatFS
	upper, err := fs.Sub(system, overlayUpper)
	if err == nil {
		_, err = fs.Stat(upper, ".")
	}
	if err == nil {
		images = slices.Insert(slices.Clone(images), 0, upper)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read the system disk: %w", err)
	}
	for _, f := range images {
		layer, ok := f.(fs.StatFS)
		if !ok {
			return nil, errNotStat
		}
		layers = append(layers, layer)
	}
	onWork, ok := work.(fs.StatFS)
	if !ok {
		return nil, errNotStat
	}
	t := &guestTree{system: overlay.New(layers...), work: onWork, mounts: []mounted{{strings.TrimPrefix(guestconfig.WorkDir, "/"), "."}}}
	t.mountHomes()
	return t, nil
}

// mountHomes finds the homes of other users than root that lie on the work disk.
func (t *guestTree) mountHomes() {
	entries, err := fs.ReadDir(t.work, homesOnDisk)
	if err != nil {
		return
	}
	for _, e := range entries {
		uid, err := strconv.ParseUint(e.Name(), 10, 32)
		if home := t.homeOf(e.Name()); err == nil && uid != 0 && home != "" && e.IsDir() {
			t.mounts = append(t.mounts, mounted{home, path.Join(homesOnDisk, e.Name())})
		}
	}
	slices.SortFunc(t.mounts, func(a, b mounted) int { return len(b.at) - len(a.at) })
}

// homeOf returns the home of a user by the user database of the guest, "" if it has none.
func (t *guestTree) homeOf(uid string) string {
	f, err := t.system.Open(passwdFile)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxUserLine)
	for lines.Scan() {
		if fields := strings.Split(lines.Text(), ":"); len(fields) >= 6 && fields[2] == uid { // passwd(5)
			home := strings.Trim(path.Clean("/"+fields[5]), "/")
			info, err := t.system.Stat(home)
			if err == nil && info.IsDir() && home != "" {
				return home
			}
			return ""
		}
	}
	return ""
}

// resolve returns on which file system a path is, and by which name.
func (t *guestTree) resolve(name string) (on fs.StatFS, inside string) {
	for _, m := range t.mounts {
		if name == m.at {
			return t.work, m.dir
		}
		if rest, ok := strings.CutPrefix(name, m.at+"/"); ok {
			return t.work, path.Join(m.dir, rest)
		}
	}
	return t.system, name
}

// Open implements fs.FS.
func (t *guestTree) Open(name string) (fs.File, error) {
	on, inside := t.resolve(name)
	return on.Open(inside)
}

// Stat implements fs.StatFS. It follows no link.
func (t *guestTree) Stat(name string) (fs.FileInfo, error) {
	on, inside := t.resolve(name)
	return on.Stat(inside)
}

// Layer tells apart the file systems in which inodes have their numbers.
func (t *guestTree) Layer(name string) (int, error) {
	on, inside := t.resolve(name)
	if on == fs.StatFS(t.system) {
		return t.system.Layer(inside)
	}
	return -1, nil
}
