package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"banger"
)

func (c *CLI) sshKnownHostsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "ssh-known-hosts HOST LOOKUP",
		Short:             "Print the host key of the VM of a host name; for KnownHostsCommand in ssh_config(5)",
		Hidden:            true,
		Args:              argumentNames("HOST", "LOOKUP"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := parseSSHName(args[0])
		if err != nil {
			return err
		}
		// What ssh looks up may have a port or be an alias of the user's configuration, and
		// must not become another line, a pattern or a marker; sshd(8), known_hosts.
		lookup := args[1]
		if lookup == "" || strings.HasPrefix(lookup, "@") || strings.HasPrefix(lookup, "|") || strings.ContainsAny(lookup, " \t\r\n,*?!#") {
			return banger.Errorf(banger.CodeInvalid, "cannot find host keys: %.100q is not the name of a host", lookup)
		}
		keys, err := c.hostKeys(cmd.Context(), name)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if _, err := fmt.Fprintf(c.Stdout, "%s %s", lookup, ssh.MarshalAuthorizedKey(key)); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

// hostKeys returns the keys of the SSH server that a name stands for.
func (c *CLI) hostKeys(ctx context.Context, n sshName) ([]ssh.PublicKey, error) {
	if n.session != "" {
		_, host, err := c.sessionKeys()
		if err != nil {
			return nil, err
		}
		return []ssh.PublicKey{host.PublicKey()}, nil
	}
	access, err := c.Backend.Services().VMs.SSHAccess(ctx, n.vm) // ssh is connected already
	if err != nil {
		return nil, err
	}
	keys, err := readHostKeys(access.KnownHostsFile)
	if err != nil {
		return nil, fmt.Errorf("cannot find the host key of VM %s: %w", n.vm, err)
	}
	return keys, nil
}

// maxKnownHostsBytes bounds what is read of a VM's file.
const maxKnownHostsBytes = 64 << 10

// readHostKeys returns the keys in a VM's known_hosts file.
func readHostKeys(path string) ([]ssh.PublicKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rest, err := io.ReadAll(io.LimitReader(f, maxKnownHostsBytes))
	if err != nil {
		return nil, err
	}
	var keys []ssh.PublicKey
	for {
		var key ssh.PublicKey
		_, _, key, _, rest, err = ssh.ParseKnownHosts(rest)
		if errors.Is(err, io.EOF) {
			return keys, nil
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
}
