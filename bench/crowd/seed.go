package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestconfig"
	"banger/internal/paths"
	"banger/internal/sessiondir"
	"banger/internal/store"
)

// seed makes a store and the disks of its VMs, and has a daemon find them running: so they
// have what the first daemon of a version that sees them adds.
func seed(ctx context.Context, p paths.Paths, vms, sessions string) error {
	nVMs, err := strconv.Atoi(vms)
	if err != nil {
		return err
	}
	nSessions, err := strconv.Atoi(sessions)
	if err != nil {
		return err
	}
	d, err := open(ctx, p, alive{newMachines()})
	if err != nil {
		return err
	}
	defer d.Close()
	for v := range nVMs {
		if err := seedVM(ctx, d.Store, p, fmt.Sprint("v", v), nSessions); err != nil {
			return err
		}
	}
	return d.Begin(ctx)
}

func seedVM(ctx context.Context, records *store.Store, p paths.Paths, name string, sessions int) error {
	vm, err := records.VMs.CreateVM(ctx, banger.VM{
		ID: banger.NewVMID(), Name: name, Driver: driverName, CPUs: 1, MemoryMiB: 512,
		SystemDiskMiB: banger.DefaultDiskMiB, WorkDiskMiB: banger.DefaultDiskMiB,
		State: banger.VMRunning, Machine: json.RawMessage(`{}`), ReadyAt: time.Now().UTC(),
	})
	if err != nil {
		return err
	}
	root := filepath.Join(p.VM(vm.ID), "root")
	dirs := filepath.Join(root, guestconfig.SessionsOnDisk)
	if err := os.MkdirAll(dirs, 0o700); err != nil {
		return err
	}
	for i := range sessions {
		x := running(vm.ID, i)
		if _, _, err := records.Sessions.CreateSession(ctx, x, ""); err != nil {
			return err
		}
		if err := putSession(dirs, x); err != nil {
			return err
		}
	}
	if err := makeDisk(ctx, filepath.Join(p.VM(vm.ID), "work.img"), root); err != nil {
		return err
	}
	return os.RemoveAll(root)
}

func running(vm banger.VMID, i int) banger.Session {
	x := banger.Session{ID: banger.NewSessionID(), VMID: vm, Name: fmt.Sprint("s", i), Launch: banger.Launch{
		Command: "make", Args: []banger.ByteString{"-j", "4", "all"}, Cwd: "/root/src", StdinMode: banger.StdinClosed,
		Env: map[string]banger.ByteString{"LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"},
	}, Backend: "ssh", AttachBackend: "shim", AttachMode: "pipe", Attachable: true, Reattachable: true}
	x.GuestStateDir = "/root/.local/state/banger/sessions/" + string(x.ID)
	x.StdoutLogPath, x.StderrLogPath = x.GuestStateDir+"/stdout.log", x.GuestStateDir+"/stderr.log"
	x.Status, x.Sequence, x.StartedAt, x.GuestPID = banger.StatusRunning, 2, time.Now().UTC(), 1000+i
	return x
}

// putSession makes the directory of a session that has written something.
func putSession(parent string, x banger.Session) error {
	dir, lock, err := sessiondir.Create(parent, guestapi.GuestLaunch{ID: x.ID, Name: x.Name, CreatedAt: x.StartedAt, Launch: x.Launch})
	if err != nil {
		return err
	}
	defer lock.Close()
	w, err := sessiondir.OpenWriter(dir, false, 0)
	if err != nil {
		return err
	}
	defer w.Close()
	for i := range 3 {
		if _, err := w.Append(banger.StreamStdout, fmt.Appendf(nil, "cc -c -o part%d.o part%d.c\n", i, i), time.Now()); err != nil {
			return err
		}
	}
	if _, err := w.Append(banger.StreamStderr, []byte("part1.c:7: warning: unused variable\n"), time.Now()); err != nil {
		return err
	}
	return sessiondir.WriteState(dir, sessiondir.State{ID: x.ID, SessionState: x.SessionState, BootID: "00000000-0000-4000-8000-000000000000"})
}

// makeDisk makes a work disk as VMs have it, with the files in root, and with a journal that
// the crash of its machine has left.
func makeDisk(ctx context.Context, disk, root string) error {
	f, err := os.Create(disk)
	if err != nil {
		return err
	}
	if err := f.Truncate(banger.DefaultDiskMiB << 20); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	block := filepath.Join(root, "..", "block")
	if err := os.WriteFile(block, make([]byte, 4096), 0o600); err != nil {
		return err
	}
	defer os.Remove(block)
	if _, err := program(ctx, "mkfs.ext4", "-q", "-F", "-L", "work", "-m", "0", "-J", "size=32",
		"-E", "assume_storage_prezeroed=1,nodiscard,root_owner=0:0", "-d", root, disk); err != nil {
		return err
	}
	free, err := program(ctx, "debugfs", "-R", "ffb 1", disk)
	if err != nil {
		return err
	}
	words := strings.Fields(free)
	commands := filepath.Join(root, "..", "commands")
	if err := os.WriteFile(commands, []byte("jo\njw -b "+words[len(words)-1]+" "+block+"\njc\n"), 0o600); err != nil {
		return err
	}
	defer os.Remove(commands)
	_, err = program(ctx, "debugfs", "-w", "-f", commands, disk)
	return err
}

func program(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "/usr/sbin/"+name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return string(out), nil
}
