package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"banger"
	"banger/internal/sshhost"
)

func (c *CLI) vmSSHCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ssh [-l USER] [-o OPTION]... VM [COMMAND [ARG]...]",
		Short: "Log in to a running VM with your own ssh",
		Long: `Log in to a running VM with your own ssh, or run a command there as ssh does: what
follows VM is interpreted by the guest's shell. The guest's host key is pinned. Your ssh
configuration applies, except to the guest's identity; agent and X11 forwarding are off
unless requested with -o.

Other programs can use this command in place of ssh.`,
		Example: `  banger vm ssh dev
  banger vm ssh -o LocalForward="8080 localhost:80" dev
  rsync -e 'banger vm ssh' -a src/ dev:src/     # where the image has rsync too`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("VM is missing")
			}
			return nil
		},
		ValidArgsFunction: c.complete(vmNames),
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // flags after VM belong to the command
	user := flags.StringP("login", "l", "", "log in as this `USER` instead of the VM's default")
	options := flags.StringArrayP("option", "o", nil, "ssh `OPTION`, as in ssh_config(5); repeatable")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		access, err := c.Backend.Services().VMs.SSHAccess(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if *user != "" {
			access.User = *user
		}
		if access.Destination != "" {
			arguments, err := remoteArguments(access, *options, args[1:])
			if err != nil {
				return err
			}
			return execSSH(arguments)
		}
		return execSSH(sshArguments(access, *options, args[1:]))
	}
	return cmd
}

// execSSH replaces this process by the user's ssh; it returns only if it cannot.
func execSSH(args []string) error {
	path, err := exec.LookPath("ssh")
	if err != nil {
		return banger.Errorf(banger.CodeMissing, "cannot find ssh: %w", err).
			WithHint("install the Debian package openssh-client")
	}
	err = syscall.Exec(path, append([]string{"ssh"}, args...), os.Environ())
	return fmt.Errorf("cannot run %s: %w", path, err)
}

// sshArguments is the command line of ssh(1) without the program. ssh takes the
// first value it sees of an option: the user's come first, then ours, and last
// what the user's own configuration says. That is kept from deciding who the
// guest is, from reaching it by another way, and from lending it the user's
// keys: the guest is not trusted.
func sshArguments(a banger.SSHAccess, options, command []string) []string {
	var args []string
	for _, o := range options {
		args = append(args, "-o", o)
	}
	for _, o := range []string{
		"HostName=" + a.Host,
		"Port=" + strconv.Itoa(a.Port),
		"User=" + sshQuote(a.User),
		"IdentityFile=" + sshQuote(a.IdentityFile),
		"IdentitiesOnly=yes",
		"PreferredAuthentications=publickey",
		"HostKeyAlias=" + sshQuote(a.HostKeyAlias),
		"UserKnownHostsFile=" + sshQuote(a.KnownHostsFile),
		"GlobalKnownHostsFile=/dev/null",
		"StrictHostKeyChecking=yes",
		"CheckHostIP=no",
		"UpdateHostKeys=no",
		"ProxyCommand=none",
		"ControlPath=none", // a kept connection could be one to another guest
		"ForwardAgent=no",
		"ForwardX11=no",
	} {
		args = append(args, "-o", o)
	}
	args = append(args, a.HostKeyAlias)
	return withCommand(args, command)
}

// withCommand adds a command to arguments that end with the host.
func withCommand(args, command []string) []string {
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	if len(command) > 0 {
		// ssh looks for options after the host too.
		args = append(append(args, "--"), command...)
	}
	return args
}

// remoteArguments is that of a remote host: it is the user's own, and so is all of
// the configuration. An ssh:// address would do, but not for IPv6.
func remoteArguments(a banger.SSHAccess, options, command []string) ([]string, error) {
	target, err := sshhost.ParseTarget(a.Destination)
	if err != nil {
		return nil, err
	}
	if a.User != "" {
		target.User = a.User
	}
	var args []string
	for _, o := range options {
		args = append(args, "-o", o)
	}
	if a.IdentityFile != "" {
		args = append(args, "-o", "IdentityFile="+sshQuote(a.IdentityFile))
	}
	if target.User != "" {
		args = append(args, "-l", target.User)
	}
	if target.Port != 0 {
		args = append(args, "-p", strconv.Itoa(target.Port))
	}
	return withCommand(append(args, target.Host), command), nil
}

// sshQuote makes a value one word of ssh_config(5) without tokens.
func sshQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(s) + `"`
}
