//go:build !unit

package qemu_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"banger"
	"banger/internal/image/initrd"
	"banger/internal/machine/machinetest"
	"banger/internal/machine/qemu"
	"banger/internal/process"
	"banger/internal/vmm"
	"banger/test/testimage"
)

// starterVariable makes the test binary a process that starts the machine of
// the spec in it, prints its Ref and waits to be killed.
const starterVariable = "BANGER_TEST_STARTER"

// consoleName is the newest file of a console, as ConsoleLogs has it.
const consoleName = "console.log"

// bootTimeout is long because the guest is emulated and shares the host.
const bootTimeout = 2 * time.Minute

func TestMain(m *testing.M) {
	if spec := os.Getenv(starterVariable); spec != "" {
		if err := startAndWait([]byte(spec)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := m.Run()
	if files, err := guestFiles(); err == nil {
		os.RemoveAll(files.temporary)
	}
	os.Exit(code)
}

// guest has what the test guest boots from.
type guest struct {
	kernel, initrd string
	temporary      string // directory to remove, or ""
}

// guestFiles takes kernel and initrd from the environment, as the KVM lab gives
// them, or builds the test guest.
var guestFiles = sync.OnceValues(func() (guest, error) {
	if kernel := os.Getenv("BANGER_TEST_KERNEL"); kernel != "" {
		return guest{kernel: kernel, initrd: os.Getenv("BANGER_TEST_INITRD")}, nil
	}
	files, err := testimage.Files(context.Background())
	if err != nil {
		return guest{}, err
	}
	return buildGuest(files.Kernel, files.Modules)
})

func buildGuest(kernel, modules string) (guest, error) {
	dir, err := os.MkdirTemp("", "banger-qemu-test-")
	if err != nil {
		return guest{}, err
	}
	g := guest{kernel, filepath.Join(dir, "initrd"), dir}
	program := filepath.Join(dir, "guest")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./testdata/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return g, fmt.Errorf("cannot build guest: %w: %s", err, out)
	}
	f, err := os.Create(g.initrd)
	if err != nil {
		return g, err
	}
	base := initrd.BaseFiles{Agent: program, Shim: program, ModulesDir: modules}.WithDefaultModules()
	return g, errors.Join(initrd.Base(f, base), f.Close())
}

// newDriver returns a driver that emulates unless the KVM lab says otherwise.
func newDriver() *qemu.Driver {
	accel := qemu.AccelTCG
	if os.Getenv("BANGER_TEST_ACCEL") == "kvm" {
		accel = qemu.AccelKVM
	}
	return qemu.New(qemu.Config{Accel: accel})
}

func newSpec(t *testing.T) vmm.MachineSpec {
	t.Helper()
	files, err := guestFiles()
	if err != nil {
		t.Fatal(err)
	}
	spec := machinetest.NewSpec(t)
	t.Cleanup(func() {
		if t.Failed() {
			console, err := os.ReadFile(filepath.Join(spec.StateDir, consoleName))
			t.Logf("console of VM %s (%v):\n%s", spec.VMID, err, console)
		}
	})
	spec.Kernel, spec.Initrd = files.kernel, files.initrd
	return spec
}

func TestDriver_KeepsTheContract(t *testing.T) {
	machinetest.Run(t, machinetest.Factory{
		Can:    []banger.Capability{banger.CanPower, banger.CanConsole, banger.CanReadDisk},
		Driver: func(*testing.T) vmm.Driver { return newDriver() },
		Greet:  machinetest.Dialed(func(conn net.Conn) error { _, err := bootIDOf(conn); return err }),
		Boot:   bootTimeout,
		Starter: machinetest.Starter{
			Spec: newSpec,
			Break: func(_ *testing.T, spec vmm.MachineSpec) vmm.MachineSpec {
				spec.Initrd += ".missing"
				return spec
			},
			StartElsewhere: startElsewhere,
			Forge:          forge,
			Processes:      processesOf,
		},
	})
}

// bootIDOf reads the guest's greeting.
func bootIDOf(conn net.Conn) (string, error) {
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", err
	}
	id, ok := strings.CutPrefix(line, "guest ")
	if !ok {
		return "", fmt.Errorf("it says %q", line)
	}
	return strings.TrimSpace(id), nil
}

// order gives the guest an order and returns its answer.
func order(t *testing.T, m vmm.Dialer, words ...string) string {
	t.Helper()
	text, err := tryOrder(t.Context(), m, words...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// tryOrder is order in a goroutine of the test's. It ends within bootTimeout.
func tryOrder(ctx context.Context, m vmm.Dialer, words ...string) (string, error) {
	deadline := time.Now().Add(bootTimeout)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	conn, err := m.Dial(ctx)
	if err != nil {
		return "", fmt.Errorf("order %v: %w", words, err)
	}
	defer conn.Close()
	conn.SetDeadline(deadline)
	fmt.Fprintln(conn, strings.Join(words, " "))
	answer, err := io.ReadAll(conn)
	if err != nil && len(answer) == 0 {
		return "", fmt.Errorf("order %v: %w", words, err)
	}
	_, rest, _ := strings.Cut(string(answer), "\n")
	return rest, nil
}

// forge makes a ref of another process, as exact as one can be made: with its
// start time too.
func forge(t *testing.T, ref json.RawMessage, pid int) json.RawMessage {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(ref, &fields); err != nil {
		t.Fatal(err)
	}
	id, err := process.Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	fields["process"] = id
	forged, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return forged
}

// processesOf finds QEMU, and the gate before it, by the machine's name.
func processesOf(t *testing.T, id banger.VMID) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		data, err := os.ReadFile(file) // fails if the process has ended meanwhile
		if err == nil && bytes.Contains(data, []byte("\x00banger-"+string(id))) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// starter returns a command that starts a machine; see starterVariable.
func starter(t *testing.T, spec vmm.MachineSpec) *exec.Cmd {
	t.Helper()
	data, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), starterVariable+"="+string(data))
	cmd.Stderr = t.Output()
	return cmd
}

func startElsewhere(t *testing.T, spec vmm.MachineSpec) json.RawMessage {
	t.Helper()
	cmd := starter(t, spec)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ref, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Errorf("the starter printed no ref: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return ref
}

// startAndWait is the main function of the starter.
func startAndWait(data []byte) error {
	var spec vmm.MachineSpec
	if err := json.Unmarshal(data, &spec); err != nil {
		return err
	}
	m, err := newDriver().Start(context.Background(), spec)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", m.Ref())
	<-m.Done()
	return errors.New("the machine has ended")
}
