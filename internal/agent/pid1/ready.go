package pid1

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"banger"
	"banger/internal/agent/device"
	"banger/internal/process"
)

// announceLimit bounds the announcement of one server.
const announceLimit = 10 * time.Second

// announcer returns a function that tells the host that a server listens, and
// the console, the first time, how the boot went.
func announcer(steps timeline, log *slog.Logger) func(context.Context) {
	var first sync.Once
	return func(ctx context.Context) {
		first.Do(func() {
			steps.mark("server")
			log.Info("ready " + steps.String())
		})
		ctx, cancel := context.WithTimeout(ctx, announceLimit)
		defer cancel()
		if err := announce(ctx); err != nil {
			log.Warn("cannot tell the host that the server listens", "error", err)
		}
	}
}

// announce writes the line that banger.ReadyPortName documents.
func announce(ctx context.Context) error {
	boot, err := process.BootID()
	if err != nil {
		return err
	}
	watcher, err := device.Watch()
	if err != nil {
		return err
	}
	defer watcher.Close()
	path, err := watcher.Wait(ctx, device.Port(os.DirFS("/sys"), banger.ReadyPortName))
	if err != nil {
		return fmt.Errorf("cannot find port %s: %w", banger.ReadyPortName, err)
	}
	port, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("cannot open port: %w", err)
	}
	defer port.Close()
	// The write blocks while nobody on the host has the port open.
	stop := context.AfterFunc(ctx, func() { _ = port.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintf(port, "ready %s\n", boot); err != nil {
		return fmt.Errorf("cannot write to port: %w", err)
	}
	return nil
}
