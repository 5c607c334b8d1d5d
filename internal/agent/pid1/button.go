package pid1

import (
	"encoding/binary"
	"io"
	"log/slog"
	"os"
	"path/filepath"
)

// Of linux/input-event-codes.h.
const (
	eventKey   = 0x01 // EV_KEY
	keyPower   = 116  // KEY_POWER
	keyPressed = 1
)

// inputEventBytes is the size of struct input_event on 64-bit machines: two
// words of time, then type, code and value; input.h of the kernel.
const inputEventBytes = 24

// isPowerKey reports whether a struct input_event says that a power button was
// pressed.
func isPowerKey(event []byte) bool {
	return binary.NativeEndian.Uint16(event[16:]) == eventKey &&
		binary.NativeEndian.Uint16(event[18:]) == keyPower &&
		binary.NativeEndian.Uint32(event[20:]) == keyPressed
}

// watchPowerButtons asks for a power-off when a power button is pressed, as the
// host does by ACPI. Its goroutines live as long as the machine.
func watchPowerButtons(actions chan<- action, log *slog.Logger) {
	paths, _ := filepath.Glob("/dev/input/event*") // the pattern is right
	if len(paths) == 0 {
		log.Warn("no power button found: the host cannot ask for a shutdown")
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			log.Warn("cannot watch input device", "path", path, "error", err)
			continue
		}
		go func() {
			defer f.Close()
			if waitForPowerKey(f) {
				request(actions, actionPowerOff)
			}
		}()
	}
}

// OnPowerButton calls pressed, from goroutines that live as long as the process, when a power
// button is pressed.
func OnPowerButton(log *slog.Logger, pressed func()) {
	actions := make(chan action, 1)
	watchPowerButtons(actions, log)
	go func() {
		for range actions {
			pressed()
		}
	}()
}

// waitForPowerKey returns true at the first press of a power button and false
// if the device goes away.
func waitForPowerKey(device io.Reader) bool {
	event := make([]byte, inputEventBytes)
	for {
		if _, err := io.ReadFull(device, event); err != nil {
			return false
		}
		if isPowerKey(event) {
			return true
		}
	}
}
