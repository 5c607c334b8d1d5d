package pid1

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"banger/internal/agent/device"
	"banger/internal/process"
)

// The limits of an announcement: of a server, and of the end.
const (
	announceLimit    = 10 * time.Second
	announceOffLimit = time.Second
)

// readyPort is the virtio-serial port to which the guest writes a line: "ready" and its
// boot id each time its server begins to listen, "off" and its boot id when it is about
// to power off.
type readyPort string

// announcer returns a function that notifies the host that a server listens, and
// the console, the first time, how the boot went.
func (p readyPort) announcer(steps timeline, log *slog.Logger) func(context.Context) {
	var first sync.Once
	return func(ctx context.Context) {
		first.Do(func() {
			steps.mark("server")
			log.Info("ready " + steps.String())
		})
		ctx, cancel := context.WithTimeout(ctx, announceLimit)
		defer cancel()
		if err := p.announce(ctx, "ready"); err != nil {
			log.Warn("cannot notify the host that the server listens", "error", err)
		}
	}
}

// AnnounceReady notifies the host that a server listens, in a guest whose init is not the
// agent.
func AnnounceReady(ctx context.Context, port string) error {
	ctx, cancel := context.WithTimeout(ctx, announceLimit)
	defer cancel()
	if err := readyPort(port).announce(ctx, "ready"); err != nil {
		return fmt.Errorf("cannot notify the host that the server listens: %w", err)
	}
	return nil
}

// announceOff notifies the host that this end of the machine is one that was asked
// for, in an orderly way.
func (p readyPort) announceOff(log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), announceOffLimit)
	defer cancel()
	if err := p.announce(ctx, "off"); err != nil {
		log.Warn("cannot notify the host that the guest powers off", "error", err)
	}
}

// announce writes a line to the port.
func (p readyPort) announce(ctx context.Context, word string) error {
	boot, err := process.BootID()
	if err != nil {
		return err
	}
	watcher, err := device.Watch()
	if err != nil {
		return err
	}
	defer watcher.Close()
	path, err := watcher.Wait(ctx, device.Port(os.DirFS("/sys"), string(p)))
	if err != nil {
		return fmt.Errorf("cannot find port %s: %w", p, err)
	}
	port, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("cannot open port: %w", err)
	}
	defer port.Close()
	// The write blocks while nobody on the host has the port open.
	stop := context.AfterFunc(ctx, func() { _ = port.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintf(port, "%s %s\n", word, boot); err != nil {
		return fmt.Errorf("cannot write to port: %w", err)
	}
	return nil
}
