package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"banger/internal/confine"
)

// trialMemoryMiB is enough for the kernel and an init that does nothing.
const trialMemoryMiB = "128"

// try boots a guest with KVM whose init powers off. Only that ends QEMU with
// status 0: a kernel that panics would start again.
func (k *kvm) try(ctx context.Context, kernel string) (verdict, error) {
	initrd, err := k.writeInitrd()
	if err != nil {
		return verdict{}, err
	}
	defer os.Remove(initrd)
	limited, cancel := context.WithTimeout(ctx, k.limit)
	defer cancel()

	binary, err := findBinary(k.config.Binary)
	if err != nil {
		return verdict{}, err
	}
	cmd := exec.CommandContext(limited, binary, append(AccelKVM.platform(false),
		"-nodefaults", "-no-user-config", "-display", "none", "-sandbox", sandbox,
		"-m", trialMemoryMiB, "-kernel", kernel, "-initrd", initrd, "-append", kernelCommandLine)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	reach := reachOf(binary, AccelKVM)
	reach.Read = append(reach.Read, kernel, initrd)
	err = confine.Do(reach, cmd.Run)
	switch {
	case err == nil:
		return verdict{Usable: true, Reason: "a trial guest booted"}, nil
	case ctx.Err() != nil:
		return verdict{}, context.Cause(ctx)
	case limited.Err() != nil:
		return verdict{
			Reason: fmt.Sprintf("%s opens, but a trial guest did not boot within %v", k.device, k.limit),
			Hint:   "if this host is a virtual machine itself, it needs nested virtualisation; if it is only slow, start the daemon with BANGER_KVM_TRIAL_LIMIT=30s",
		}, nil
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return verdict{}, err
	}
	return verdict{Reason: "QEMU could not start a trial guest: " + firstLine(said.String())}, nil
}

// writeInitrd makes a temporary file beside the cache.
func (k *kvm) writeInitrd() (string, error) {
	f, err := os.CreateTemp(filepath.Dir(k.config.VerdictCache), ".kvm-trial-*")
	if err != nil {
		return "", err
	}
	if err := errors.Join(k.config.Poweroff(f), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
