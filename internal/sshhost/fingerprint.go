package sshhost

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// maxFingerprinted bounds the files of a directory that a fingerprint looks at.
const maxFingerprinted = 1000

// Fingerprint changes when something has changed on which a login to t depends: a file in
// the user's ~/.ssh or in /etc/ssh, the key file that is given, the socket of the agent, or
// the passphrases in a. It reads no content, and runs nothing. A configuration that
// includes files of other directories can change without it.
func (d *Dialer) Fingerprint(t Target, a Answers) string {
	sum := sha256.New()
	home := d.Home
	if home == "" {
		home, _ = os.UserHomeDir()
	}
	directories := []string{filepath.Join(home, ".ssh"), filepath.Join(home, ".ssh", "config.d")}
	if d.ConfigFile == "" {
		directories = append(directories, "/etc/ssh", "/etc/ssh/ssh_config.d")
	} else {
		addFile(sum, d.ConfigFile)
	}
	for _, directory := range directories {
		addDirectory(sum, directory)
	}
	agent := a.AgentSocket
	if agent == "" {
		agent = d.defaultAgent()
	}
	addFile(sum, t.IdentityFile)
	addFile(sum, agent)
	for _, file := range slices.Sorted(maps.Keys(a.Passphrases)) {
		fmt.Fprintf(sum, "%q %x\n", file, sha256.Sum256([]byte(a.Passphrases[file])))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// addDirectory adds the files of a directory, but for sockets: those of connections that
// are shared come and go.
func addDirectory(w io.Writer, path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	entries, _ := f.ReadDir(maxFingerprinted)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		if e.Type()&fs.ModeSocket == 0 {
			addFile(w, filepath.Join(path, e.Name()))
		}
	}
}

// addFile adds what changes when a file is written, replaced or made another's.
func addFile(w io.Writer, path string) {
	if info, err := os.Stat(path); err == nil {
		inode := uint64(0)
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			inode = stat.Ino
		}
		fmt.Fprintf(w, "%q %d %d %v %d\n", path, info.ModTime().UnixNano(), info.Size(), info.Mode(), inode)
	}
}
