// Package agent is the program that runs in a guest: as its init, as its SSH
// server, and as what the server runs.
package agent

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"banger/internal/agent/pid1"
	"banger/internal/agent/signals"
	"banger/internal/guestconfig"
	"banger/internal/version"
)

// Exit statuses of the agent.
const (
	exitFailure = 1
	exitUsage   = 2
)

// subcommand is one way to run the agent. It ends early, in order, when ctx does:
// on SIGTERM, SIGINT and SIGHUP.
type subcommand struct {
	name string
	run  func(ctx context.Context, args []string) error
}

// subcommands are those that are no init.
func subcommands() []subcommand {
	return []subcommand{
		{"serve", serve},
		{"hold-sessions", holdSessions},
		{"end-sessions", endSessions},
		{"control", serveControl},
		{"sftp", serveSFTP},
		{"scp", serveSCP},
		{"install", install},
		{"connect", connect},
		{"copy", copyFiles},
		{"try", try},
		{"version", printVersion},
	}
}

// Main runs the agent and returns its exit status. As init it does not return.
func Main(argv []string) int {
	log.SetFlags(0)
	log.SetPrefix("banger: ")
	name := filepath.Base(argv[0])
	if os.Getpid() == 1 && pid1.IsFinish(name) && len(argv) > 1 {
		pid1.Finish(argv[1], slog.Default())
	}
	if os.Getpid() == 1 {
		pid1.Run([]string{guestconfig.AgentPath, "serve", "--ready-fd", strconv.Itoa(pid1.ReadyFD)}, slog.Default())
	}
	if err := signals.Reset(); err != nil {
		return report(err)
	}
	if pid1.IsApplet(name) {
		return report(pid1.RunApplet(name))
	}
	for _, c := range subcommands() {
		if len(argv) > 1 && argv[1] == c.name {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
			defer stop()
			return report(c.run(ctx, argv[2:]))
		}
	}
	var names []string
	for _, c := range subcommands() {
		names = append(names, c.name)
	}
	fmt.Fprintf(os.Stderr, "usage: banger-agent %s\n", strings.Join(names, "|"))
	return exitUsage
}

func report(err error) int {
	if err == nil {
		return 0
	}
	slog.Error(err.Error())
	return exitFailure
}

func printVersion(context.Context, []string) error {
	_, err := fmt.Println(version.String())
	return err
}
