// Package passwd reads a guest's user database: the files of passwd(5) and
// group(5). Users known only to other name services do not exist here.
package passwd

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// User is one entry of passwd(5), with the groups of group(5).
type User struct {
	Name   string
	UID    uint32
	GID    uint32
	Groups []uint32 // supplementary, without GID
	Home   string
	Shell  string // never empty
}

// ErrUnknown says that no user has that name.
var ErrUnknown = errors.New("unknown user")

// defaultShell is what an empty field means, passwd(5).
const defaultShell = "/bin/sh"

// DB is a user database. It reads its files at each use, so it is never stale.
type DB struct {
	dir string
}

// System is the database of the running system.
func System() DB { return DB{dir: "/etc"} }

// At is the database whose files lie in dir.
func At(dir string) DB { return DB{dir: dir} }

// superuser is the one whom every system has, whether its database says so or is not there:
// an image may consist of one program.
func superuser() User { return User{Name: "root", Home: "/root", Shell: defaultShell} }

// Lookup returns the user of that name; it fails with ErrUnknown if there is none.
func (db DB) Lookup(name string) (User, error) {
	user, err := db.lookup(name)
	if root := superuser(); name == root.Name && unknown(err) {
		return root, nil
	}
	return user, err
}

// LookupID returns the first user of that id; it fails with ErrUnknown if there is none.
func (db DB) LookupID(uid uint32) (User, error) {
	id, name := strconv.FormatUint(uint64(uid), 10), ""
	err := db.each("passwd", func(f []string) bool {
		if len(f) >= 7 && f[2] == id {
			name = f[0]
		}
		return name == ""
	})
	if err != nil {
		return User{}, err
	}
	if name == "" {
		return User{}, fmt.Errorf("cannot find the user with the id %s: %w", id, ErrUnknown)
	}
	return db.Lookup(name)
}

// Resolve returns the user that USER or USER:GROUP means, each a name or a number, as images
// have it (config.md of the image-spec) and podman-run(1) --user. A number without an entry is a
// user of group 0 with the root directory as home. With a group, the user has only that one.
// It fails with ErrUnknown if a name has no entry.
func (db DB) Resolve(spec string) (User, error) {
	name, group, grouped := strings.Cut(spec, ":")
	user, err := db.Find(name)
	if id, isID := number(name); isID && unknown(err) {
		user, err = numbered(id), nil
	}
	if err != nil || !grouped {
		return user, err
	}
	user.Groups = nil
	if user.GID, err = db.group(group); err != nil {
		return User{}, err
	}
	return user, nil
}

// Find returns the user of that name, or else the first one of that number; it fails with
// ErrUnknown if there is none.
func (db DB) Find(nameOrID string) (User, error) {
	user, err := db.Lookup(nameOrID)
	if id, isID := number(nameOrID); isID && err != nil {
		return db.LookupID(id)
	}
	return user, err
}

// number returns the id that a word is, if it is one.
func number(word string) (id uint32, is bool) {
	n, err := strconv.ParseUint(word, 10, 32)
	return uint32(n), err == nil && n < 1<<32-1
}

// unknown reports whether an entry was not found, or no database.
func unknown(err error) bool { return errors.Is(err, ErrUnknown) || errors.Is(err, os.ErrNotExist) }

// numbered is the user of an id that has no entry.
func numbered(id uint32) User {
	if id == 0 {
		return superuser()
	}
	return User{Name: strconv.FormatUint(uint64(id), 10), UID: id, Home: "/", Shell: defaultShell}
}

// group returns the id of a group by its name or number.
func (db DB) group(name string) (uint32, error) {
	id, found := uint64(0), false
	err := db.each("group", func(f []string) bool {
		if len(f) >= 3 && f[0] == name && name != "" {
			var bad error
			id, bad = strconv.ParseUint(f[2], 10, 32)
			found = bad == nil
		}
		return !found
	})
	if !found {
		if number, bad := strconv.ParseUint(name, 10, 32); bad == nil && number < 1<<32-1 {
			return uint32(number), nil
		}
		return 0, errors.Join(fmt.Errorf("cannot find group %q: %w", name, ErrUnknown), err)
	}
	return uint32(id), nil
}

func (db DB) lookup(name string) (User, error) {
	var user User
	found := false
	err := db.each("passwd", func(f []string) bool {
		if len(f) < 7 || f[0] != name || name == "" {
			return true
		}
		uid, uidErr := strconv.ParseUint(f[2], 10, 32)
		gid, gidErr := strconv.ParseUint(f[3], 10, 32)
		if uidErr != nil || gidErr != nil {
			return true
		}
		user = User{Name: name, UID: uint32(uid), GID: uint32(gid), Home: f[5], Shell: f[6]}
		found = true
		return false
	})
	if err != nil {
		return User{}, err
	}
	if !found {
		return User{}, fmt.Errorf("cannot find user %q: %w", name, ErrUnknown)
	}
	if user.Shell == "" {
		user.Shell = defaultShell
	}
	if user.Home == "" {
		user.Home = "/"
	}
	user.Groups, err = db.groups(name, user.GID)
	return user, err
}

// Current returns the user whose this process is. Where another name service knows
// that user, the environment has the rest.
func (db DB) Current() (User, error) {
	uid, name := strconv.Itoa(os.Geteuid()), ""
	err := db.each("passwd", func(f []string) bool {
		if len(f) >= 7 && f[2] == uid {
			name = f[0]
		}
		return name == ""
	})
	if err == nil && name != "" {
		return db.Lookup(name)
	}
	user := User{
		Name: os.Getenv("USER"), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()),
		Home: os.Getenv("HOME"), Shell: os.Getenv("SHELL"),
	}
	if user.Name == "" {
		user.Name = uid
	}
	if user.Home == "" {
		user.Home = "/"
	}
	if user.Shell == "" {
		user.Shell = defaultShell
	}
	return user, nil
}

// groups returns the groups that list name as a member, without its own.
func (db DB) groups(name string, own uint32) ([]uint32, error) {
	var groups []uint32
	err := db.each("group", func(f []string) bool {
		if len(f) < 4 || !slices.Contains(strings.Split(f[3], ","), name) {
			return true
		}
		gid, err := strconv.ParseUint(f[2], 10, 32)
		if err == nil && uint32(gid) != own {
			groups = append(groups, uint32(gid))
		}
		return true
	})
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return groups, err
}

// each calls fn with the fields of each line until it returns false.
func (db DB) each(file string, fn func(fields []string) bool) error {
	f, err := os.Open(filepath.Join(db.dir, file))
	if err != nil {
		return fmt.Errorf("cannot read user database: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		if !fn(strings.Split(line, ":")) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("cannot read user database %s: %w", file, err)
	}
	return nil
}

// DefaultPath is the PATH of a login, as Debian's login.defs(5) has it.
func (u User) DefaultPath() string {
	if u.UID == 0 {
		return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	return "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
}
