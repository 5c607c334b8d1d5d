package machine

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"banger"
	"banger/internal/files"
	"banger/internal/guestconfig"
	"banger/internal/records"
	"banger/internal/vmm"
)

// The files of a VM in its directory, beside what its driver keeps there.
const (
	systemDiskName = "system.img"
	workDiskName   = "work.img"
	hostKeyName    = "ssh_host_ed25519_key"
	knownHostsName = "known_hosts"
	initrdName     = "initrd"
)

// makeFiles makes the disks and the host key of a new VM, durably. Its file comes last:
// a directory that has one has all.
func (s *Service) makeFiles(ctx context.Context, vm banger.VM) error {
	dir := s.Paths.VM(vm.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := s.Images.Use(vm.ImageID, dir); err != nil {
		return err
	}
	if err := makeHostKey(dir, vm.ID); err != nil {
		return err
	}
	group, making := errgroup.WithContext(ctx)
	group.Go(func() error {
		return s.Disks.NewDisk(making, filepath.Join(dir, systemDiskName), vm.SystemDiskMiB, "banger-system")
	})
	group.Go(func() error {
		return s.Disks.NewDisk(making, filepath.Join(dir, workDiskName), vm.WorkDiskMiB, "banger-work")
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return s.writeVMFile(vm)
}

// makeHostKey makes the key by which the host knows a guest, and the file in
// which OpenSSH looks it up under the VM's id.
func makeHostKey(dir string, id banger.VMID) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("cannot make host key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "banger "+string(id))
	if err != nil {
		return fmt.Errorf("cannot make host key: %w", err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return fmt.Errorf("cannot make host key: %w", err)
	}
	line := hostKeyAlias(id) + " " + string(ssh.MarshalAuthorizedKey(key))
	return errors.Join(
		files.Write(filepath.Join(dir, hostKeyName), pem.EncodeToMemory(block), 0o600),
		files.Write(filepath.Join(dir, knownHostsName), []byte(line), 0o600))
}

func hostKeyAlias(id banger.VMID) string { return "banger-" + string(id) }

// readHostKey returns a VM's private host key as PEM and its public half as an
// authorized_keys line.
func (s *Service) readHostKey(id banger.VMID) (private, public string, err error) {
	data, err := os.ReadFile(filepath.Join(s.Paths.VM(id), hostKeyName))
	if errors.Is(err, os.ErrNotExist) {
		return "", "", banger.Errorf(banger.CodeCorrupt, "cannot use VM %s: its host key is gone: %w", id, err).
			WithHint("put %s back where it was, or delete the VM with: banger vm delete %s", s.Paths.VM(id), id)
	}
	if err != nil {
		return "", "", fmt.Errorf("cannot read host key of VM %s: %w", id, err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return "", "", banger.Errorf(banger.CodeCorrupt, "cannot parse host key of VM %s: %w", id, err)
	}
	return string(data), string(ssh.MarshalAuthorizedKey(signer.PublicKey())), nil
}

// prepareBoot checks what a VM boots from, writes its initrd, and describes its
// machine.
func (s *Service) prepareBoot(ctx context.Context, vm banger.VM, driver vmm.Starter) (vmm.MachineSpec, error) {
	var spec vmm.MachineSpec
	image, err := s.Images.Files(ctx, vm.ImageID)
	if banger.CodeOf(err) == banger.CodeNotFound {
		return spec, banger.Errorf(banger.CodeCorrupt, "cannot use VM %s: its image %s (%s) is gone", vm.Name, vm.ImageName, vm.ImageID).
			WithHint("put the directory %s back, or build the image again; the logs of the VM's sessions can be read without it", s.Paths.Image(vm.ImageID))
	}
	if err != nil {
		return spec, err
	}
	private, _, err := s.readHostKey(vm.ID)
	if err != nil {
		return spec, err
	}
	dir := s.Paths.VM(vm.ID)
	spec = vmm.MachineSpec{
		VMID: vm.ID, Name: vm.Name, CPUs: vm.CPUs, MemoryMiB: vm.MemoryMiB,
		Kernel: image.Kernel, Initrd: filepath.Join(dir, initrdName),
		Disks: []vmm.MachineDisk{
			{Name: vmm.ImageDisk, Path: image.Root, ReadOnly: true},
			{Name: vmm.SystemDisk, Path: filepath.Join(dir, systemDiskName)},
			{Name: vmm.WorkDisk, Path: filepath.Join(dir, workDiskName)},
		},
		StateDir: dir,
	}
	devices := driver.Devices(spec)
	err = s.Initrds.WriteVM(ctx, spec.Initrd, image, guestconfig.Config{
		Hostname: vm.Name, Network: guestconfig.Network(devices.Network), SSHHostKey: private, AuthorizedKeys: []string{s.ClientKey},
		ImageDisk: devices.Disks[vmm.ImageDisk], SystemDisk: devices.Disks[vmm.SystemDisk], WorkDisk: devices.Disks[vmm.WorkDisk],
		ReadyPort: devices.ReadyPort,
	})
	if err != nil {
		return spec, fmt.Errorf("cannot write initrd: %w", err)
	}
	return spec, nil
}

// SSHAccess implements banger.VMService.
func (s *Service) SSHAccess(ctx context.Context, ref string) (banger.SSHAccess, error) {
	vm, err := s.GetVM(ctx, ref)
	if err != nil {
		return banger.SSHAccess{}, err
	}
	if driver, err := s.Drivers.Enroller(vm, "log in to"); err == nil {
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
		User: loginUser, Host: host, Port: number, IdentityFile: s.Paths.ClientKey(),
		KnownHostsFile: filepath.Join(s.Paths.VM(vm.ID), knownHostsName), HostKeyAlias: hostKeyAlias(vm.ID),
	}, nil
}

// ConsoleLog implements banger.VMService.
func (s *Service) ConsoleLog(ctx context.Context, ref string, maxBytes int64) ([]byte, error) {
	vm, err := s.GetVM(ctx, ref)
	if err != nil {
		return nil, err
	}
	driver, err := s.Drivers.Console(vm, "read the console of")
	if err != nil {
		return nil, err
	}
	if maxBytes <= 0 || maxBytes > maxConsoleLog {
		maxBytes = maxConsoleLog
	}
	data, err := consoleTail(s.Paths.VM(vm.ID), driver.ConsoleLogs(), maxBytes)
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
