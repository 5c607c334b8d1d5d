package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"banger"
	"banger/internal/transfer"
)

func (c *CLI) cpCommand() *cobra.Command {
	cp := &copying{cli: c, progress: &transfer.Progress{}}
	cmd := &cobra.Command{
		Use:   "cp [flags] SOURCE TARGET",
		Short: "Copy files to and from VMs",
		Long: `Copy a file or a directory to a VM, from a VM, or between two. VM:PATH is a path in a VM, in
the home of the user if it is relative; all else is a path of this host. A directory that is
there gets the source into it; DIRECTORY/. means what is in a directory. - is a tar archive
on stdin or stdout.

Modes, times, links and holes are kept. Owners are those of whoever writes: root in a VM, or
the user of -u, and you here; -a keeps them. Links are copied as links. What cannot be
copied is named, and the rest is copied; the exit status is 3 then.

Nothing has its final name before it is whole. A file of 8 MiB or more whose copy was
interrupted is continued by the same command. A VM that is not running is read from its
disks, and started first to write to it.`,
		Example: `  banger cp ./notes dev:/root/
  banger cp dev:/var/log/. ./logs
  banger cp dev:/root/out - | tar t
  tar c src | banger cp - dev:/root/work
  banger cp dev:/root/data other:/root/`,
		Args:              argumentNames("SOURCE", "TARGET"),
		ValidArgsFunction: c.completePlaces,
	}
	flags := cmd.Flags()
	flags.BoolVarP(&cp.request.Owners, "archive", "a", false, "keep owners, and with them set-id bits, capabilities and access lists; to this host as root only")
	flags.BoolVarP(&cp.request.Follow, "follow-link", "L", false, "if SOURCE is a symbolic link, copy what it leads to")
	flags.StringVarP(&cp.request.User, "user", "u", "", "`USER` in the VM who reads and writes (default root)")
	flags.BoolVarP(&cp.quiet, "quiet", "q", false, "show no progress")
	flags.BoolVar(&cp.noStart, "no-start", false, "fail if the VM is not running, instead of starting it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		source, target, err := places(args[0], args[1])
		if err != nil {
			return err
		}
		return cp.run(cmd.Context(), source, target)
	}
	return cmd
}

// place is where a copy comes from or goes to.
type place struct {
	vm   string // empty: this host
	path string // "-" on this host: a stream
}

// parsePlace takes what has a colon before any slash for a path in a VM, as scp does.
func parsePlace(arg string) place {
	vm, path, ok := strings.Cut(arg, ":")
	if !ok || strings.Contains(vm, "/") || strings.HasPrefix(vm, ".") {
		return place{path: arg}
	}
	return place{vm: vm, path: path}
}

// places parses both arguments.
func places(from, to string) (source, target place, err error) {
	source, target = parsePlace(from), parsePlace(to)
	switch {
	case source.vm == "" && target.vm == "" || strings.HasPrefix(from, ":") || strings.HasPrefix(to, ":"):
		err = usagef("SOURCE or TARGET must be VM:PATH")
	case source.vm == "" && source.path == "" || target.vm == "" && target.path == "":
		err = usagef("an empty path")
	}
	return source, target, err
}

// copying is one run of the command.
type copying struct {
	cli      *CLI
	request  transfer.Request
	quiet    bool
	noStart  bool
	progress *transfer.Progress
}

func (p *copying) run(ctx context.Context, source, target place) error {
	vms := []string{source.vm, target.vm}
	work := func() error { return p.copy(ctx, source, target) }
	for _, vm := range vms {
		if next := work; vm != "" {
			work = func() error { return p.cli.onRunningVM(ctx, vm, p.noStart, next) }
		}
	}
	return work()
}

// copy makes the copy and reports what has become of it.
func (p *copying) copy(ctx context.Context, source, target place) error {
	meter := p.startMeter(target)
	result, err := p.transfer(ctx, source, target)
	meter.end(err == nil)
	if kept := string(result.Kept); kept != "" {
		fmt.Fprintf(p.cli.Stderr, "banger: what has come of it is kept as %q beside the target; the same command continues there\n", kept)
	} else if err != nil && ctx.Err() != nil && target.vm != "" {
		fmt.Fprintln(p.cli.Stderr, "banger: what has come of a file of 8 MiB or more is kept beside the target; the same command continues there")
	}
	for _, problem := range result.Problems {
		fmt.Fprintf(p.cli.Stderr, "banger: not copied: %s: %s\n", safe(string(problem.Path)), safe(problem.Message))
	}
	if n := int64(len(result.Problems)) + result.More; n > 0 && err == nil {
		return statusError{exitPartly, fmt.Sprintf("%d of the entries were not copied, or not completely", n)}
	}
	return err
}

// transfer makes the copy in one of the five ways that there are.
func (p *copying) transfer(ctx context.Context, source, target place) (transfer.Result, error) {
	read, write := p.request, p.request
	read.Path, write.Path = banger.ByteString(source.path), banger.ByteString(target.path)
	if source.vm == "" {
		return p.store(ctx, source.path, target.vm, write)
	}
	from, where, err := p.connect(ctx, source.vm)
	if err != nil {
		return transfer.Result{}, err
	}
	defer from.Close()
	switch {
	case target.vm != "":
		to, _, err := p.connect(ctx, target.vm)
		if err != nil {
			return transfer.Result{}, err
		}
		defer to.Close()
		return transfer.Pass(ctx, from, read, where, to, write, p.progress, p.note)
	case target.path == "-":
		if isTerminal(p.cli.Stdout) {
			return transfer.Result{}, usagef("stdout is a terminal; a tar archive is for a pipe or a file")
		}
		return from.FetchTar(ctx, read, p.cli.Stdout, p.progress, p.note)
	}
	return from.Fetch(ctx, read, where, target.path, p.progress, p.note)
}

// store copies to a VM, from a path of this host or from stdin.
func (p *copying) store(ctx context.Context, path, vm string, write transfer.Request) (transfer.Result, error) {
	if path == "-" {
		to, _, err := p.connect(ctx, vm)
		if err != nil {
			return transfer.Result{}, err
		}
		defer to.Close()
		return to.StoreTar(ctx, p.cli.Stdin, write, p.progress)
	}
	source, err := transfer.OpenSource(path, p.request.Follow)
	if err != nil {
		return transfer.Result{}, err
	}
	defer source.Close()
	where, err := filepath.Abs(path)
	if err != nil {
		return transfer.Result{}, err
	}
	to, _, err := p.connect(ctx, vm)
	if err != nil {
		return transfer.Result{}, err
	}
	defer to.Close()
	return to.Store(ctx, source, transfer.BaseName(path), where, write, p.progress)
}

// connect reaches the files of a VM. where says whose they are, whatever its name is.
func (p *copying) connect(ctx context.Context, ref string) (r *transfer.Remote, where string, err error) {
	services := p.cli.Backend.Services()
	vm, err := services.VMs.GetVM(ctx, ref)
	if err != nil {
		return nil, "", err
	}
	conn, err := services.Dialer.DialCopy(ctx, string(vm.ID))
	if err != nil {
		return nil, "", err
	}
	return transfer.Connect(ctx, conn), fmt.Sprintf("vm %s ", vm.ID), nil
}

// note shows what a user should know of a source.
func (p *copying) note(text string) { fmt.Fprintf(p.cli.Stderr, "banger: %s\n", safe(text)) }

// completePlaces completes the names of VMs; paths of this host are the shell's to complete.
func (c *CLI) completePlaces(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 || strings.ContainsAny(prefix, ":/") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	names, _ := c.complete(vmNames)(cmd, nil, prefix)
	for i, name := range names {
		names[i] = name + ":"
	}
	return names, cobra.ShellCompDirectiveNoSpace
}
