package agent

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"

	"golang.org/x/crypto/ssh"

	"banger/internal/agent/passwd"
	"banger/internal/agent/pid1"
	"banger/internal/agent/scp"
	"banger/internal/agent/sshd"
	"banger/internal/guestconfig"
)

// serve is the guest's SSH server.
func serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	configPath := flags.String("config", guestconfig.RunConfig, "the VM's configuration")
	address := flags.String("listen", net.JoinHostPort("", strconv.Itoa(guestconfig.SSHPort)), "address of the SSH server")
	unit := flags.Bool("unit", false, "this is a unit of systemd, the init of this guest")
	readyFD := flags.Int("ready-fd", -1, "descriptor that gets one byte when the server listens")
	if err := flags.Parse(args); err != nil {
		return err
	}
	guest, err := readConfig(*configPath)
	if err != nil {
		return err
	}
	config, err := serverConfig(guest)
	if err != nil {
		return err
	}
	l, err := sshd.Listen(ctx, *address)
	if err != nil {
		return err
	}
	if *readyFD >= 0 {
		if err := sayReady(*readyFD); err != nil {
			l.Close()
			return err
		}
	}
	if *unit {
		return serveUnit(ctx, config, l, guest.ReadyPort)
	}
	return sshd.New(config).Serve(ctx, l)
}

// readConfig reads a VM's configuration.
func readConfig(path string) (config guestconfig.Config, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return config, fmt.Errorf("cannot read configuration: %w", err)
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return config, fmt.Errorf("cannot read configuration %s: %w", path, err)
	}
	return config, nil
}

// serverConfig turns a VM's configuration into the server's.
func serverConfig(config guestconfig.Config) (sshd.Config, error) {
	hostKey, err := ssh.ParsePrivateKey([]byte(config.SSHHostKey))
	if err != nil {
		return sshd.Config{}, fmt.Errorf("cannot use host key: %w", err)
	}
	keys, err := sshd.ParseAuthorizedKeys(config.AuthorizedKeys)
	if err != nil {
		return sshd.Config{}, err
	}
	executable, err := os.Executable()
	if err != nil {
		return sshd.Config{}, fmt.Errorf("cannot find own executable: %w", err)
	}
	control := []string{executable, "control", "--machine", "--own-clock"}
	if config.Init == guestconfig.InitSystemd {
		control = append(control, "--systemd", "--cgroup", pid1.SystemdCgroup, "--shim-cgroup", pid1.SystemdShims)
	}
	return sshd.Config{
		HostKey:        hostKey,
		AuthorizedKeys: keys,
		Users:          passwd.System(),
		ImageUser:      config.LoginUser,
		Env:            config.Env,
		Subsystems: map[string][]string{
			"sftp":                       {executable, "sftp"},
			guestconfig.ControlSubsystem: control,
			guestconfig.CopySubsystem:    {executable, "copy"},
		},
		SCP:    []string{executable, "scp"},
		Logger: slog.Default(),
	}, nil
}

func sayReady(fd int) error {
	f := os.NewFile(uintptr(fd), "ready")
	defer f.Close()
	if _, err := f.Write([]byte{'r'}); err != nil {
		return fmt.Errorf("cannot say that the server listens: %w", err)
	}
	return nil
}

// serveSFTP is the program of the sftp subsystem.
func serveSFTP(ctx context.Context, _ []string) error {
	stdin, err := closableStdin()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { stdin.Close() })
	defer stop()
	err = sshd.SFTP(stdin, os.Stdout)
	if ctx.Err() != nil {
		return nil // a signal asked for it
	}
	return err
}

// serveSCP is the program behind scp -O.
func serveSCP(_ context.Context, args []string) error {
	options, ok := scp.Parse(args)
	if !ok {
		return errors.New("this scp only serves the copies of others")
	}
	return scp.Serve(options, os.Stdin, os.Stdout, os.Stderr)
}
