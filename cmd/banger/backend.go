package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"banger"
	"banger/client"
	"banger/internal/cli"
	"banger/internal/daemon"
	"banger/internal/daemonlog"
	"banger/internal/ondemand"
	"banger/internal/paths"
	"banger/internal/systemd"
	"banger/internal/version"
)

// backend is the installation that the environment names: reached over its
// socket, or served by this process.
type backend struct {
	paths     paths.Paths
	self      string // this program's file
	launcher  *ondemand.Launcher
	starting  *client.Client // starts a daemon where none runs
	reachable *client.Client // never does
}

func newBackend() (*backend, error) {
	p := paths.FromEnvironment()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	launcher := ondemand.New(p, []string{self, "daemon", "run", "--ready-fd", "3"}, service(p))
	return &backend{
		paths:     p,
		self:      self,
		launcher:  launcher,
		starting:  client.New(p.Socket(), version.String(), client.WithDialer(launcher.Dial)),
		reachable: client.New(p.Socket(), version.String(), client.WithDialer(launcher.DialRunning)),
	}, nil
}

// service is the service that may serve an installation: the units that are shipped
// serve that of a user who has set no XDG variable.
func service(p paths.Paths) ondemand.Service {
	if !p.Usual() {
		return nil
	}
	return systemd.NewHost()
}

func (b *backend) Services() cli.Services { return services(b.starting) }

func (b *backend) Running() cli.Services { return services(b.reachable) }

func services(c *client.Client) cli.Services {
	return cli.Services{Services: c.Services(), Dialer: c}
}

func (b *backend) Installation() paths.Paths { return b.paths }

func (b *backend) WaitStopped(ctx context.Context) error { return b.launcher.WaitStopped(ctx) }

func (b *backend) Serve(ctx context.Context, ready *os.File) error {
	binaries, err := guestBinaries(filepath.Dir(b.self))
	if err != nil {
		return err
	}
	limit, err := trialLimit()
	if err != nil {
		return err
	}
	log := io.Writer(os.Stderr)
	if ready != nil {
		// Nobody else reads its stderr, and nobody else bounds it.
		file, err := daemonlog.Open(b.paths.DaemonLog())
		if err != nil {
			return err
		}
		defer file.Close()
		if err := file.TakeOver(); err != nil {
			return err
		}
		log = file
	}
	return daemon.Run(ctx, b.paths, daemon.Options{
		Log:           slog.New(daemonlog.Counting(slog.NewTextHandler(log, nil))),
		Ready:         ready,
		GuestBinaries: binaries,
		KVMTrialLimit: limit,
	})
}

// trialLimitVariable is for hosts that are so slow, for example emulated, that
// KVM works and still fails its trial. Daemons that are started on demand get it
// with the environment.
const trialLimitVariable = "BANGER_KVM_TRIAL_LIMIT"

// trialLimit returns 0 where nothing else is asked for.
func trialLimit() (time.Duration, error) {
	value := os.Getenv(trialLimitVariable)
	if value == "" {
		return 0, nil
	}
	limit, err := time.ParseDuration(value)
	if err != nil || limit <= 0 {
		return 0, banger.Errorf(banger.CodeInvalid, "cannot use %s=%q: it is not a duration above zero", trialLimitVariable, value).
			WithHint("set it to something like 30s, or unset it")
	}
	return limit, nil
}

// guestBinaries finds the directory with the programs for guests: beside this one,
// as a build leaves them, or in the libexec of its prefix, as an install does.
func guestBinaries(dir string) (string, error) {
	for _, folder := range []string{dir, filepath.Join(dir, "..", "libexec", "banger")} {
		if _, err := os.Stat(filepath.Join(folder, "banger-agent")); err == nil {
			return folder, nil
		}
	}
	return "", banger.Errorf(banger.CodeMissing, "cannot find banger-agent: not in %s or ../libexec/banger relative to it", dir).
		WithHint("build everything with make build, or install it with make install")
}
