package inmem_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"banger"
	"banger/internal/machine/inmem"
	"banger/internal/machine/machinetest"
	"banger/internal/vmm"
)

const banner = "SSH-2.0-inmem\r\n"

func serve(conn net.Conn) {
	_, _ = io.WriteString(conn, banner)
	_, _ = io.Copy(io.Discard, conn) // until it is closed
}

func greet(conn net.Conn) error {
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && line != banner {
		err = fmt.Errorf("it says %q", line)
	}
	return err
}

func TestDriver_KeepsTheContract(t *testing.T) {
	host := inmem.New(serve)
	machinetest.Run(t, machinetest.Factory{
		Can:    []banger.Capability{banger.CanPower, banger.CanConsole, banger.CanReadDisk},
		Driver: func(*testing.T) vmm.Driver { return host.Another() },
		Greet:  machinetest.Dialed(greet),
		Boot:   10 * time.Second,
		Starter: machinetest.Starter{
			Spec: machinetest.NewSpec,
			Break: func(_ *testing.T, spec vmm.MachineSpec) vmm.MachineSpec {
				spec.StateDir = filepath.Join(spec.StateDir, "missing")
				return spec
			},
			StartElsewhere: func(t *testing.T, spec vmm.MachineSpec) json.RawMessage {
				m, err := host.Another().Start(t.Context(), spec)
				if err != nil {
					t.Fatal(err)
				}
				return m.Ref() // the handle is forgotten
			},
		},
	})
}

func TestCrash_EndsTheMachineAndItsConnections(t *testing.T) {
	d := inmem.New(serve)
	spec := machinetest.NewSpec(t)
	m, err := d.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	conn, err := m.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := greet(conn); err != nil {
		t.Fatal(err)
	}
	if !d.Crash(spec.VMID) {
		t.Fatal("Crash found no machine")
	}
	<-m.Done()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlived the machine")
	}
	if d.Crash(spec.VMID) {
		t.Error("Crash found the machine again")
	}
}

func TestGuest_MayFailToBootOrIgnoreThePowerButton(t *testing.T) {
	pressed := make(chan struct{}, 1)
	boot := errors.New("no root file system")
	result := make(chan error, 1)
	d := inmem.NewGuest(inmem.Guest{
		Serve: func(_ vmm.MachineSpec, conn net.Conn) { conn.Close() },
		Boot: func(ctx context.Context, _ vmm.MachineSpec) error {
			select {
			case err := <-result:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
		PowerButton: func(vmm.MachineSpec) bool {
			pressed <- struct{}{}
			return false
		},
	})
	m, err := d.Start(t.Context(), machinetest.NewSpec(t))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.PowerDown(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-pressed
	select {
	case <-m.Done():
		t.Fatal("the machine ended though its guest ignores the power button")
	default:
	}
	result <- boot
	if err := m.WaitReady(t.Context()); !errors.Is(err, vmm.ErrMachineGone) {
		t.Errorf("WaitReady: %v, want ErrMachineGone", err)
	}
}
