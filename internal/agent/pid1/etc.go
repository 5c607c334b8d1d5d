package pid1

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"banger/internal/guestconfig"
)

// writeEtc makes the files in etc fit the configuration. A file that does is not
// written, so that most boots write nothing.
func writeEtc(etc string, config guestconfig.Config) error {
	hosts, err := os.ReadFile(filepath.Join(etc, "hosts"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot set host name: %w", err)
	}
	for name, content := range map[string][]byte{
		"hostname":    []byte(config.Hostname + "\n"),
		"hosts":       hostsFile(hosts, config.Hostname),
		"resolv.conf": resolvConf(config.Network.DNS),
	} {
		if err := replaceFile(filepath.Join(etc, name), content); err != nil {
			return fmt.Errorf("cannot write %s: %w", name, err)
		}
	}
	return nil
}

// hostsFile returns a hosts(5) file with the line that Debian gives a host
// without a permanent address, and everything else as it was.
func hostsFile(old []byte, hostname string) []byte {
	const address = "127.0.1.1"
	var out bytes.Buffer
	localhost := false
	for line := range bytes.Lines(old) {
		fields := bytes.Fields(line)
		if len(fields) > 0 && string(fields[0]) == address {
			continue
		}
		localhost = localhost || len(fields) > 0 && string(fields[0]) == "127.0.0.1"
		out.Write(bytes.TrimSuffix(line, []byte("\n")))
		out.WriteByte('\n')
	}
	if !localhost {
		out.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	}
	out.WriteString(address + "\t" + hostname + "\n")
	return out.Bytes()
}

// resolvConf returns a resolv.conf(5).
func resolvConf(servers []string) []byte {
	var out strings.Builder
	for _, server := range servers {
		out.WriteString("nameserver " + server + "\n")
	}
	return []byte(out.String())
}

// replaceFile replaces a file, or a symbolic link of that name, at once; a crash
// leaves the old one or the new one. It does not wait for the disk: the next boot
// writes the same again.
func replaceFile(path string, content []byte) error {
	info, err := os.Lstat(path)
	if err == nil && info.Mode().IsRegular() {
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
			return nil
		}
	}
	temporary := path + ".banger"
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
