package sshhost

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

// maxKnownHosts bounds one file of host keys.
const maxKnownHosts = 16 << 20

// knownFiles are files of known_hosts(5): sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
type knownFiles struct {
	*knownhosts.HostKeyDB
	copies map[string]string // original names by those of copies
}

// original returns the name of the file that was read as the named one.
func (k *knownFiles) original(name string) string {
	if original, ok := k.copies[name]; ok {
		return original
	}
	return name
}

// readKnownFiles reads the files that exist.
func readKnownFiles(paths []string) (*knownFiles, error) {
	known := &knownFiles{copies: map[string]string{}}
	defer func() {
		for path := range known.copies {
			os.Remove(path)
		}
	}()
	var readable []string
	for _, path := range paths {
		name, err := known.prepare(path)
		if err != nil {
			return nil, err
		}
		if name != "" && !slices.Contains(readable, name) {
			readable = append(readable, name)
		}
	}
	var err error
	known.HostKeyDB, err = knownhosts.NewDB(readable...)
	return known, err
}

// prepare returns the name of a file that the library can read: the file itself, or
// a copy in which lines that ssh passes over are empty, since the library would fail
// at a key of a kind that it does not know. It returns "" for a file that is missing.
func (k *knownFiles) prepare(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKnownHosts+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxKnownHosts {
		return "", fmt.Errorf("%s has more than %d bytes", path, maxKnownHosts)
	}
	clean, changed := withoutForeignLines(data)
	if !changed {
		return path, nil
	}
	temp, err := os.CreateTemp("", "banger-known-hosts-")
	if err != nil {
		return "", err
	}
	k.copies[temp.Name()] = path
	_, err = temp.Write(clean)
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	return temp.Name(), err
}

// withoutForeignLines empties the lines that are no host keys, so that the others
// keep their numbers.
func withoutForeignLines(data []byte) (clean []byte, changed bool) {
	for line := range bytes.Lines(data) {
		trimmed := bytes.TrimSpace(line)
		if len(trimmed) > 0 && trimmed[0] != '#' {
			if _, _, _, _, _, err := ssh.ParseKnownHosts(trimmed); err != nil {
				changed = true
				line = []byte("\n")
			}
		}
		clean = append(clean, line...)
	}
	return clean, changed
}
