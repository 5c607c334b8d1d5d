package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"banger"
	"banger/internal/records"
)

// SSHAccess implements banger.VMService.
func (s *VMs) SSHAccess(ctx context.Context, ref string) (banger.SSHAccess, error) {
	vm, err := s.GetVM(ctx, ref)
	if err != nil {
		return banger.SSHAccess{}, err
	}
	if driver, err := s.drivers.Enroller(vm, "log in to"); err == nil {
		return driver.SSHAccess(vm.Machine)
	}
	if err := records.CheckNotPaused(vm, "log in to", "it"); err != nil {
		return banger.SSHAccess{}, err
	}
	if vm.State != banger.VMRunning || vm.SSHAddress == "" {
		return banger.SSHAccess{}, banger.Errorf(banger.CodeState, "cannot reach VM %s by ssh: it is %s", vm.Name, vm.State).
			WithHint("start it with: banger vm start %s", vm.Name)
	}
	host, port, err := net.SplitHostPort(vm.SSHAddress)
	if err != nil {
		return banger.SSHAccess{}, fmt.Errorf("cannot parse address of VM %s: %w", vm.Name, err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return banger.SSHAccess{}, fmt.Errorf("cannot parse port of VM %s: %w", vm.Name, err)
	}
	return banger.SSHAccess{
		User: loginUser, Host: host, Port: number, IdentityFile: s.clientKeyFile,
		KnownHostsFile: filepath.Join(s.homes.dir(vm.ID), knownHostsName), HostKeyAlias: hostKeyAlias(vm.ID),
	}, nil
}

// ConsoleLog implements banger.VMService.
func (s *VMs) ConsoleLog(ctx context.Context, ref string, maxBytes int64) ([]byte, error) {
	vm, err := s.GetVM(ctx, ref)
	if err != nil {
		return nil, err
	}
	driver, err := s.drivers.Console(vm, "read the console of")
	if err != nil {
		return nil, err
	}
	if maxBytes <= 0 || maxBytes > maxConsoleLog {
		maxBytes = maxConsoleLog
	}
	data, err := consoleTail(s.homes.dir(vm.ID), driver.ConsoleLogs(), maxBytes)
	if err != nil {
		return nil, fmt.Errorf("cannot read console log of VM %s: %w", vm.Name, err)
	}
	return data, nil
}

// consoleTail returns the end of what the console's files have, the newest of which comes
// first. They are opened in that order: one may become the next at any moment, and is
// then both.
func consoleTail(dir string, names []string, maxBytes int64) ([]byte, error) {
	var files []*os.File
	for _, name := range names {
		f, err := os.Open(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // never started, or nothing old yet
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		files = append(files, f)
	}
	var data []byte
	var seen os.FileInfo
	for _, f := range files {
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if seen != nil && os.SameFile(seen, info) {
			break
		}
		seen = info
		size := min(info.Size(), maxBytes-int64(len(data)))
		part := make([]byte, size)
		n, err := f.ReadAt(part, info.Size()-size)
		if n < len(part) && !errors.Is(err, io.EOF) { // a new start has emptied it
			return nil, err
		}
		data = append(part[:n], data...)
	}
	return data, nil
}

// maxConsoleLog bounds an answer; a guest may print for ever.
const maxConsoleLog = 8 << 20

// loginUser is whom the host logs in as in our own guests.
const loginUser = "root"
