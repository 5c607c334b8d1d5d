package vmm

import (
	"fmt"
	"slices"
	"strings"

	"banger"
)

// Drivers are the drivers of one daemon. It is the only place in which a driver is known
// by its name, and the only one that refuses what the machine of a VM cannot do. The zero
// value has none. It does not change.
type Drivers struct{ all []Driver }

// NewDrivers returns drivers, each of another name. The first Starter makes new VMs.
func NewDrivers(all ...Driver) (Drivers, error) {
	for i, d := range all {
		if slices.ContainsFunc(all[:i], func(other Driver) bool { return other.Name() == d.Name() }) {
			return Drivers{}, fmt.Errorf("there are two drivers named %s", d.Name())
		}
	}
	return Drivers{slices.Clone(all)}, nil
}

// Of returns the driver of a VM. One that this build does not have is CodeMismatch.
func (d Drivers) Of(vm banger.VM) (Driver, error) {
	for _, driver := range d.all {
		if driver.Name() == vm.Driver {
			return driver, nil
		}
	}
	return nil, banger.Errorf(banger.CodeMismatch, "this banger has no driver %.40q", vm.Driver).
		WithHint("use the banger that made VM %s", vm.Name)
}

// Starters returns those that make machines.
func (d Drivers) Starters() []Starter { return those[Starter](d) }

// Enrollers returns those of machines that are there without us.
func (d Drivers) Enrollers() []Enroller { return those[Enroller](d) }

func those[T Driver](d Drivers) []T {
	var found []T
	for _, driver := range d.all {
		if t, ok := driver.(T); ok {
			found = append(found, t)
		}
	}
	return found
}

// Standing reports whether the machine of a VM is there without us: its life is nothing
// that we decide or record.
func (d Drivers) Standing(vm banger.VM) bool {
	_, err := as[Enroller](d, vm, banger.CanUnlock, "")
	return err == nil
}

// Capabilities returns what can be done with the machine of a VM, nil if this build has
// not its driver.
func (d Drivers) Capabilities(vm banger.VM) []banger.Capability {
	driver, err := d.Of(vm)
	if err != nil {
		return nil
	}
	return Capabilities(driver)
}

// Starter returns the driver of a VM as one that has banger.CanPower. verb is what was
// asked for, as in "cannot VERB VM NAME".
func (d Drivers) Starter(vm banger.VM, verb string) (Starter, error) {
	return as[Starter](d, vm, banger.CanPower, verb)
}

// Console is Starter for banger.CanConsole.
func (d Drivers) Console(vm banger.VM, verb string) (ConsoleLogger, error) {
	return as[ConsoleLogger](d, vm, banger.CanConsole, verb)
}

// Enroller is Starter for banger.CanUnlock.
func (d Drivers) Enroller(vm banger.VM, verb string) (Enroller, error) {
	return as[Enroller](d, vm, banger.CanUnlock, verb)
}

// Require fails if the machine of a VM lacks a capability.
func (d Drivers) Require(vm banger.VM, c banger.Capability, verb string) error {
	driver, err := d.Of(vm)
	switch {
	case err != nil:
		return fmt.Errorf("cannot %s VM %s: %w", verb, vm.Name, err)
	case !has(driver, c):
		return lacks(driver, vm, c, verb)
	}
	return nil
}

// as returns the driver of a VM as a T, which is one that has the capability.
func as[T Driver](d Drivers, vm banger.VM, c banger.Capability, verb string) (T, error) {
	var none T
	driver, err := d.Of(vm)
	if err != nil {
		return none, fmt.Errorf("cannot %s VM %s: %w", verb, vm.Name, err)
	}
	t, ok := driver.(T)
	if !ok {
		return none, lacks(driver, vm, c, verb)
	}
	return t, nil
}

// lacks refuses what the machines of a driver cannot do, whatever their state.
func lacks(d Driver, vm banger.VM, c banger.Capability, verb string) error {
	kind := d.Kind()
	return banger.Errorf(banger.CodeInvalid, "cannot %s VM %s: it is %s, which has no %s", verb, vm.Name, kind.Noun, noun(c)).
		WithHint("%s", strings.ReplaceAll(kind.Instead[c], "VM", vm.Name))
}

// noun is what a machine with the capability has.
func noun(c banger.Capability) string {
	switch c {
	case banger.CanPower:
		return "power switch"
	case banger.CanConsole:
		return "console log"
	case banger.CanReadDisk:
		return "disk that can be read from outside"
	case banger.CanUnlock:
		return "login to unlock"
	}
	return string(c)
}
