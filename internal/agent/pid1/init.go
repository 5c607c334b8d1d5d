// Package pid1 is the init of a guest: it boots the system out of the
// initramfs, keeps the SSH server running, reaps what has no parent, and shuts
// the system down.
package pid1

import (
	"context"
	"log/slog"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"banger/internal/guestconfig"
)

// Run is the init, or becomes that of the image, if the VM's is to be systemd. argv is that of the server, which writes to ReadyFD when it
// listens. Run does not return: where it cannot continue, it says why on the console
// and powers off.
func Run(argv []string, log *slog.Logger) {
	defer powerOffOnPanic(log)
	endMachine(run(argv, log), log)
}

// run returns when the machine is to end, with clean disks, and how.
func run(argv []string, log *slog.Logger) action {
	var steps timeline
	steps.mark("kernel")
	children := make(chan os.Signal, 1) // one is enough: each means "reap all"
	signal.Notify(children, unix.SIGCHLD)
	actions := make(chan action, 1)
	listenForSignals(actions, log)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	goOn, err := boot(ctx, log, &steps)
	var config guestconfig.Config
	if err == nil && goOn {
		steps.mark("root")
		config, err = setUpSystem(ctx, log, &steps)
	}
	if err == nil && goOn && config.Init == guestconfig.InitSystemd {
		err = handOver(config, log) // returns with an error only
	}
	if err != nil {
		log.Error("cannot boot", "error", err)
	}
	if err != nil || !goOn {
		return actionPowerOff
	}
	watchPowerButtons(actions, log)
	port := readyPort(config.ReadyPort)
	s := &supervisor{argv: argv, env: serverEnvironment(), ready: port.announcer(steps, log), log: log}
	var requested action
	go func() {
		requested = <-actions
		cancel()
	}()
	s.run(ctx, children)
	log.Info(string(requested) + " begins")
	shutDown(children, s, log, func() {
		if requested == actionPowerOff {
			port.announceOff(log)
		}
	})
	return requested
}

// listenForSignals sends what signals ask for. All others are caught too and come
// to nothing: the end of init is a kernel panic, and a signal that is ignored
// instead would be so in every child.
func listenForSignals(actions chan<- action, log *slog.Logger) {
	signal.Notify(make(chan os.Signal, 1)) // nobody receives
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGPWR, unix.SIGUSR1, unix.SIGUSR2)
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF); err != nil {
		log.Warn("cannot take over ctrl-alt-del", "error", err)
	}
	go func() {
		for s := range signals {
			request(actions, signalActions[s])
		}
	}()
}

// request asks for the machine's end; only the first request counts.
func request(actions chan<- action, a action) {
	select {
	case actions <- a:
	default:
	}
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// serverEnvironment is that of the server. What the kernel and the initramfs
// left in ours is nobody's business.
func serverEnvironment() []string {
	return []string{
		"PATH=" + defaultPath,
		"HOME=" + guestconfig.WorkDir,
		"LANG=C.UTF-8",
	}
}
