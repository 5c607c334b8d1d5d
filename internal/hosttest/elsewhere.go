package hosttest

import (
	"context"
	"encoding/json"
	"net"

	"banger/internal/vmm"
)

// elsewhere is a driver of machines that are run by somebody else, at an address:
// for a daemon that is a process of its own. They never end.
type elsewhere struct{ address string }

// Name implements vmm.Driver.
func (elsewhere) Name() string { return "elsewhere" }

// Kind implements vmm.Driver.
func (elsewhere) Kind() vmm.Kind { return vmm.Kind{Noun: "a machine elsewhere"} }

// Devices implements vmm.Starter.
func (elsewhere) Devices(vmm.MachineSpec) vmm.Devices { return vmm.Devices{} }

// PoweredOff implements vmm.Starter.
func (elsewhere) PoweredOff(json.RawMessage) bool { return false }

// Start implements vmm.Starter.
func (e elsewhere) Start(context.Context, vmm.MachineSpec) (vmm.Owned, error) {
	return elsewhereMachine{e}, nil
}

// Adopt implements vmm.Driver.
func (e elsewhere) Adopt(context.Context, json.RawMessage) (vmm.Machine, error) {
	return elsewhereMachine{e}, nil
}

type elsewhereMachine struct{ elsewhere }

func (elsewhereMachine) Ref() json.RawMessage            { return json.RawMessage(`{}`) }
func (elsewhereMachine) Info() vmm.MachineInfo           { return vmm.MachineInfo{} }
func (elsewhereMachine) WaitReady(context.Context) error { return nil }
func (elsewhereMachine) PowerDown(context.Context) error { return nil }
func (elsewhereMachine) Kill(context.Context) error      { return nil }
func (elsewhereMachine) Done() <-chan struct{}           { return nil }
func (elsewhereMachine) PoweredOff() bool                { return false }
func (elsewhereMachine) Close() error                    { return nil }

func (m elsewhereMachine) Dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", m.address)
}
