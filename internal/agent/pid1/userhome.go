package pid1

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"banger/internal/agent/passwd"
	"banger/internal/guestconfig"
)

// homesDir has in the work disk the homes of users who are not root, each by its user's id.
const homesDir = guestconfig.WorkDir + "/.local/state/banger/homes"

// mountUserHome gives the user whom an image runs its command as a home on the work disk, as
// root has one: a copy of what the image has there, mounted over it. user is that of an OCI
// image's configuration, "name", "uid", "name:group" and so on. A home that belongs to
// somebody else, such as /usr/sbin or /, stays as it is, and so does that of a user whom the image
// does not know.
func mountUserHome(root, user string) error {
	u, err := userOf(root, user)
	if err != nil || u.UID == 0 {
		return err
	}
	home, err := findHome(root, u)
	if err != nil || home == "" {
		return err
	}
	store := filepath.Join(root+homesDir, strconv.FormatUint(uint64(u.UID), 10))
	if err := storeHome(home, store); err != nil {
		return fmt.Errorf("cannot copy %s of the image to the work disk: %w", u.Home, err)
	}
	return mount{store, home, "", unix.MS_BIND, ""}.do()
}

// userOf returns the zero user for one that the image does not know.
func userOf(root, user string) (u passwd.User, err error) {
	name, _, _ := strings.Cut(user, ":")
	if name == "" {
		return u, nil
	}
	u, err = passwd.At(root + "/etc").Find(name)
	if errors.Is(err, passwd.ErrUnknown) || errors.Is(err, fs.ErrNotExist) {
		return passwd.User{}, nil
	}
	return u, err
}

// userHome returns where the home is in which mountUserHome mounts one, seen from here.
func userHome(root, user string) (string, error) {
	u, err := userOf(root, user)
	if err != nil || u.UID == 0 {
		return "", err
	}
	return findHome(root, u)
}

// findHome returns where a user's home is, seen from here, or "" if it is not the user's. One
// below /home that is not there is made.
func findHome(root string, u passwd.User) (string, error) {
	home := filepath.Clean(u.Home)
	if !filepath.IsAbs(home) || home == "/" || within(home, guestconfig.WorkDir) {
		return "", nil
	}
	path, err := resolve(root, home)
	if errors.Is(err, fs.ErrNotExist) && within(home, "/home") {
		if err := makeHome(root, home, u); err != nil {
			return "", err
		}
		path, err = resolve(root, home)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil || stat.Uid != u.UID {
		return "", err
	}
	return path, nil
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// resolve follows the links of a path as the system whose root that is will, and returns
// where it leads, seen from here.
func resolve(root, path string) (string, error) {
	r, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(r)
	fd, err := unix.Openat2(r, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
}

// makeHome makes the home of a user whose image has none.
func makeHome(root, home string, u passwd.User) error {
	r, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer r.Close()
	inside := strings.TrimPrefix(home, "/")
	err = r.MkdirAll(inside, 0o755)
	if err == nil {
		err = r.Chown(inside, int(u.UID), int(u.GID))
	}
	if err != nil {
		return fmt.Errorf("cannot make %s: %w", home, err)
	}
	return nil
}

// storeHome copies a home to the work disk, once: store is there when it is complete.
func storeHome(home, store string) error {
	if _, err := os.Lstat(store); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(store), 0o700); err != nil {
		return err
	}
	copying := store + copyingSuffix
	if err := os.RemoveAll(copying); err != nil {
		return err
	}
	if err := copyTree(home, copying); err != nil {
		return errors.Join(err, os.RemoveAll(copying))
	}
	if err := syncFileSystem(copying); err != nil {
		return err
	}
	return os.Rename(copying, store)
}
