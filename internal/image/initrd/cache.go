package initrd

import (
	"bufio"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"banger/internal/files"
	"banger/internal/guestconfig"
)

// keepBases is how many base initrds a cache keeps, those used last: about 10
// MiB each.
const keepBases = 8

// baseSuffix ends the names of cached bases; whatever else lies in the directory
// is a leftover of an interrupted write.
const baseSuffix = ".cpio"

// Cache writes the initrds of VMs. It keeps the base of each kernel and build of
// banger in a directory of its own, so that a start only copies it. Safe for
// concurrent use; only one process may use a directory.
type Cache struct {
	dir string

	mu      sync.Mutex         // guards digests and the files in dir
	digests map[string]fileSum // by path
}

// fileSum is the digest of a file as it was at a time.
type fileSum struct {
	size    int64
	modTime time.Time
	sha256  string
}

// NewCache returns a cache in dir, which is made when needed.
func NewCache(dir string) *Cache {
	return &Cache{dir: dir, digests: map[string]fileSum{}}
}

// WriteVM writes the initrd of one VM to path, with the modules of the kernel with that id, or
// of the image that has it,, readable by the owner
// only, since the configuration holds a key. A file that is there is replaced
// at once, never changed; only one call at a time may be for a path. It is not
// durable: every start writes it again.
func (c *Cache) WriteVM(path string, kernel string, f BaseFiles, cfg guestconfig.Config) error {
	base, err := c.openBase(kernel, f)
	if err != nil {
		return err
	}
	defer base.Close()
	return replaceFile(path, func(w *os.File) error {
		if _, err := io.Copy(w, base); err != nil {
			return err
		}
		return Config(w, cfg)
	})
}

// openBase opens the base initrd of a kernel, which it first makes if need be.
func (c *Cache) openBase(kernel string, f BaseFiles) (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, err := c.key(kernel, f)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(c.dir, key+baseSuffix)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = c.build(path, f); err == nil {
			file, err = os.Open(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open base initrd of kernel %s: %w", kernel, err)
	}
	now := time.Now()
	if err := os.Chtimes(path, now, now); err != nil { // prune goes by it
		file.Close()
		return nil, err
	}
	return file, nil
}

// build makes a base durably, since a later start trusts whatever has its name.
func (c *Cache) build(path string, f BaseFiles) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	err := replaceFile(path, func(w *os.File) error {
		b := bufio.NewWriterSize(w, 1<<20)
		if err := Base(b, f); err != nil {
			return err
		}
		if err := b.Flush(); err != nil {
			return err
		}
		return w.Sync()
	})
	if err != nil {
		return err
	}
	if err := files.SyncDir(c.dir); err != nil {
		return err
	}
	return c.prune()
}

// prune removes leftovers and all but the bases that were used last.
func (c *Cache) prune() error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	type base struct {
		name string
		used time.Time
	}
	var bases []base
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(e.Name(), baseSuffix):
			bases = append(bases, base{e.Name(), info.ModTime()})
		default:
			bases = append(bases, base{name: e.Name()})
		}
	}
	slices.SortFunc(bases, func(a, b base) int { return b.used.Compare(a.used) })
	for i, b := range bases {
		if i >= keepBases || b.used.IsZero() {
			if err := os.Remove(filepath.Join(c.dir, b.name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// key names everything that a base is made of.
func (c *Cache) key(kernel string, f BaseFiles) (string, error) {
	agent, err := c.digest(f.Agent)
	if err != nil {
		return "", err
	}
	shim, err := c.digest(f.Shim)
	if err != nil {
		return "", err
	}
	const format = 1 // raise it when Base writes something else of the same files
	data, err := json.Marshal([]any{format, kernel, filepath.Base(f.ModulesDir), agent, shim, f.Modules, f.Optional})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:20])), nil
}

// digest returns the SHA-256 of a file, read again only if the file has changed.
func (c *Cache) digest(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("cannot read guest binary: %w", err)
	}
	if d, ok := c.digests[path]; ok && d.size == info.Size() && d.modTime.Equal(info.ModTime()) {
		return d.sha256, nil
	}
	sum, _, err := files.SHA256(path)
	if err != nil {
		return "", fmt.Errorf("cannot read guest binary: %w", err)
	}
	c.digests[path] = fileSum{info.Size(), info.ModTime(), sum}
	return sum, nil
}

// replaceFile puts what fill writes at path, with mode 0600, or leaves path as
// it was. Only one call at a time may be for a path.
func replaceFile(path string, fill func(*os.File) error) error {
	// What a killed process left there is overwritten.
	temp, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write initrd %s: %w", path, err)
	}
	err = fill(temp)
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("cannot write initrd %s: %w", path, err)
	}
	return nil
}
