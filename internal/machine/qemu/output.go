package qemu

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"banger"
)

// outputs are the files to which a guest can write for ever, and how much of
// their beginning and end is kept. What lies between becomes a hole, so offsets
// stay right and QEMU, which appends, never notices.
var outputs = []struct {
	name       string
	head, tail int64
}{
	{banger.ConsoleLogName, 1 << 20, 8 << 20},
	{readyName, maxReadyBytes, maxReadyBytes},
	{qemuLogName, 1 << 20, 1 << 20},
}

// outputRest is how long nobody looks at an output after it has grown: QEMU
// writes the console byte by byte.
const outputRest = time.Second

// trimSlack is how much an output may grow beyond what is kept before it is cut.
const trimSlack = 1 << 20

// boundOutput keeps the outputs of a machine bounded as long as the handle is
// open and the machine runs.
func (m *machine) boundOutput(log *slog.Logger) {
	for m.live.Err() == nil {
		if err := m.trimOutputs(); err != nil {
			if !errors.Is(err, os.ErrNotExist) { // else the VM is being deleted
				log.Warn("cannot bound what the guest prints", "machine", m.record.Name, "error", err)
			}
			return
		}
		select {
		case <-time.After(outputRest):
		case <-m.live.Done():
		}
	}
}

// trimOutputs cuts the outputs and returns when one has grown since.
func (m *machine) trimOutputs() error {
	paths := make([]string, len(outputs))
	for i, o := range outputs {
		paths[i] = filepath.Join(m.record.StateDir, o.name)
	}
	grown, cancel, err := m.watch.add(paths...)
	if err != nil {
		return err
	}
	defer cancel()
	for i, o := range outputs {
		if err := trim(paths[i], o.head, o.tail); err != nil {
			return err
		}
	}
	select {
	case <-grown:
	case <-m.live.Done():
	}
	return nil
}

// trim makes a hole of what lies between the first head and the last tail bytes
// of a file, once it takes more room than that and trimSlack.
func trim(path string, head, tail int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return err
	}
	const blockBytes = 512 // stat(2)
	if stat.Blocks*blockBytes <= head+tail+trimSlack || stat.Size <= head+tail {
		return nil
	}
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, head, stat.Size-tail-head)
}
