package cli

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"banger"
	"banger/internal/guestconfig"
	"banger/internal/sshconfig"
)

func (c *CLI) sshConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ssh-config [--install | --uninstall]",
		Short: "Have your own ssh reach VMs as NAME" + sshconfig.Suffix,
		Long: `Print the OpenSSH configuration by which ssh, scp, sftp, rsync, git, Ansible and editors
reach every VM under NAME` + sshconfig.Suffix + `. ssh runs banger to connect and to learn the VM's
host key: no port has to be known, nothing is written to your known_hosts, and a VM that is
not running is started.

--install writes it to a file of banger's own and adds one line to ~/.ssh/config that
includes that file; --uninstall takes back both. Nothing else in your configuration changes.
It needs OpenSSH 8.5 or later.`,
		Example: `  banger ssh-config --install
  ssh dev` + sshconfig.Suffix + ` uname -a
  scp -r notes dev` + sshconfig.Suffix + `:
  banger ssh-config >config; ssh -F config dev` + sshconfig.Suffix,
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	install := cmd.Flags().Bool("install", false, "have ~/.ssh/config include it")
	uninstall := cmd.Flags().Bool("uninstall", false, "take back what --install did")
	cmd.MarkFlagsMutuallyExclusive("install", "uninstall")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		options, err := c.sshOptions()
		if err != nil {
			return err
		}
		if !*install && !*uninstall {
			text, err := options.Text()
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(c.Stdout, text)
			return err
		}
		home, err := os.UserHomeDir()
		if err != nil {
			return banger.Errorf(banger.CodeInvalid, "cannot find ~/.ssh/config: %w", err).WithHint("set HOME")
		}
		i := sshconfig.Installation{
			UserConfig: filepath.Join(home, ".ssh", "config"),
			File:       filepath.Join(c.Backend.Installation().Config, "ssh_config"),
		}
		if *uninstall {
			return i.Uninstall()
		}
		if err := i.Install(cmd.Context(), options); err != nil {
			return err
		}
		c.reportInstalled(home, i)
		return nil
	}
	return cmd
}

// sshOptions are what ssh has to be told about this installation.
func (c *CLI) sshOptions() (sshconfig.Options, error) {
	self, err := os.Executable()
	if err != nil {
		return sshconfig.Options{}, fmt.Errorf("cannot find own executable: %w", err)
	}
	return sshconfig.Options{Program: self, IdentityFile: c.Backend.Installation().ClientKey(), User: guestconfig.ImageUser}, nil
}

// reportInstalled says what ssh reaches now. ssh reads the configuration in the home of the
// password file, whatever HOME is.
func (c *CLI) reportInstalled(home string, i sshconfig.Installation) {
	option := ""
	if u, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil && u.HomeDir != home {
		option = "-F " + safe(i.UserConfig) + " "
	}
	fmt.Fprintf(c.Stderr, "banger: %s includes %s; VMs are reached with: ssh %sNAME%s\n",
		safe(i.UserConfig), safe(i.File), option, sshconfig.Suffix)
}
