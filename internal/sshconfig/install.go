package sshconfig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/files"
)

// maxConfigBytes bounds what is read of a configuration.
const maxConfigBytes = 4 << 20

// Installation is where a configuration is, or is to be, installed.
type Installation struct {
	UserConfig string // the user's own, ~/.ssh/config
	File       string // ours, which that includes
}

// madeUserConfig is a line of our file where the user had no configuration: Uninstall leaves
// none then, either.
const madeUserConfig = "# The file that includes this one was made by banger ssh-config --install.\n"

// Install writes our file and has the user's configuration include it, in its first line:
// what stands before the first Host or Match is for all hosts, and ssh takes the first value
// that it finds. ssh itself then has to confirm that it has the settings; otherwise everything
// is put back. The rest of the user's configuration, its mode and a link that leads to it stay.
// A second call changes nothing.
func (i Installation) Install(ctx context.Context, o Options) error {
	text, err := o.Text()
	if err != nil {
		return err
	}
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		return banger.Errorf(banger.CodeMissing, "cannot install the ssh configuration: cannot find ssh: %w", err).
			WithHint("install the Debian package openssh-client")
	}
	user, err := open(i.UserConfig)
	if err != nil {
		return err
	}
	ours, err := open(i.File)
	if err != nil {
		return err
	}
	if !user.exists || strings.HasPrefix(string(ours.data), madeUserConfig) {
		text = madeUserConfig + text
	}
	err = errors.Join(ours.replace([]byte(text)), user.replace(i.included(user.data)))
	if err == nil {
		err = i.confirm(ctx, ssh, o)
	}
	if err != nil {
		return errors.Join(err, user.restore(), ours.restore())
	}
	return nil
}

// Uninstall takes back what Install did, and nothing else.
func (i Installation) Uninstall() error {
	user, err := open(i.UserConfig)
	if err != nil {
		return err
	}
	ours, err := open(i.File)
	if err != nil {
		return err
	}
	without := i.without(user.data)
	if len(without) == 0 && strings.HasPrefix(string(ours.data), madeUserConfig) {
		err = user.remove()
	} else {
		err = user.replace(without)
	}
	if err != nil {
		return err
	}
	return ours.remove()
}

// line is the one that we add. ssh takes what it names for a pattern, glob(7).
func (i Installation) line() string {
	return "Include " + quoteWord(strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(i.File))
}

// isOurs reports whether a line of a configuration is that one.
func (i Installation) isOurs(line string) bool { return strings.TrimSpace(line) == i.line() }

// included returns a configuration that begins with our line.
func (i Installation) included(data []byte) []byte {
	first := ""
	for line := range strings.Lines(string(data)) {
		first = line
		break
	}
	if i.isOurs(first) {
		return data
	}
	end := "\n"
	if strings.HasSuffix(first, "\r\n") {
		end = "\r\n"
	}
	return append([]byte(i.line()+end), i.without(data)...)
}

// without returns a configuration without our line.
func (i Installation) without(data []byte) []byte {
	lines := slices.Collect(strings.Lines(string(data)))
	return []byte(strings.Join(slices.DeleteFunc(lines, i.isOurs), ""))
}

// confirm asks ssh what it makes of the user's configuration; ssh(1), -G. An ssh before 8.5
// does not know KnownHostsCommand, and would refuse all of it.
func (i Installation) confirm(ctx context.Context, ssh string, o Options) error {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, ssh, "-G", "-F", i.UserConfig, "name"+Suffix)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return banger.Errorf(banger.CodeInvalid, "cannot install the ssh configuration: %s refuses %s: %w: %s",
			ssh, i.UserConfig, err, strings.TrimSpace(errs.String())).
			WithHint("correct that file; if KnownHostsCommand is refused, OpenSSH is older than 8.5. Nothing was changed")
	}
	lines := strings.Split(out.String(), "\n")
	for _, want := range []string{"user " + o.User, "proxycommand " + o.proxyCommand(), "knownhostscommand " + o.knownHostsCommand()} {
		if !slices.Contains(lines, want) {
			return banger.Errorf(banger.CodeInvalid, "cannot install the ssh configuration: with %s, ssh does not use %q", i.UserConfig, want).
				WithHint("Nothing was changed. Put the output of banger ssh-config at the beginning of the file yourself")
		}
	}
	return nil
}

// file is one that is to be changed, as it was before.
type file struct {
	path   string // behind all links
	exists bool
	data   []byte
	mode   fs.FileMode
	owner  *syscall.Stat_t
}

// open reads a file, which need not exist.
func open(path string) (*file, error) {
	f := &file{path: path, mode: 0o600}
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err == nil {
		f.path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxConfigBytes {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot change %s: it is not a regular file of at most %d bytes", path, maxConfigBytes)
	}
	if f.data, err = os.ReadFile(f.path); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	f.exists, f.mode, f.owner = true, info.Mode().Perm(), info.Sys().(*syscall.Stat_t)
	return f, nil
}

// replace gives the file other content.
func (f *file) replace(data []byte) error {
	if f.exists && bytes.Equal(data, f.data) || !f.exists && len(data) == 0 {
		return nil
	}
	if err := f.checkWritable(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("cannot create directory: %w", err)
	}
	return f.write(data)
}

func (f *file) write(data []byte) error {
	if err := files.Write(f.path, data, f.mode); err != nil {
		return err
	}
	if f.owner == nil || f.owner.Uid == uint32(os.Geteuid()) && f.owner.Gid == uint32(os.Getegid()) {
		return nil
	}
	return os.Chown(f.path, int(f.owner.Uid), int(f.owner.Gid))
}

// checkWritable refuses a file that its owner has protected, which neither root nor who may
// write to its directory would be kept from replacing.
func (f *file) checkWritable() error {
	if f.exists && (f.mode&0o200 == 0 || unix.Access(f.path, unix.W_OK) != nil) {
		return banger.Errorf(banger.CodeInvalid, "cannot change %s: it is read-only", f.path).
			WithHint("make it writable, or put the output of banger ssh-config at its beginning yourself")
	}
	return nil
}

// remove removes the file, if it exists.
func (f *file) remove() error {
	if !f.exists {
		return nil
	}
	if err := f.checkWritable(); err != nil {
		return err
	}
	return os.Remove(f.path)
}

// restore puts back what was there when the file was opened.
func (f *file) restore() error {
	now, err := os.ReadFile(f.path)
	switch {
	case f.exists && (err != nil || !bytes.Equal(now, f.data)):
		return f.write(f.data)
	case !f.exists && err == nil:
		return os.Remove(f.path)
	}
	return nil
}
