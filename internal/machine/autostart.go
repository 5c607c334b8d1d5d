package machine

import (
	"context"
	"errors"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"banger"
	"banger/internal/process"
)

// startsAtOnce is how many machines are started side by side after a boot of the host.
const startsAtOnce = 4

// autostarts starts VMs with the host; see Services.Autostart.
type autostarts struct {
	store   Store
	starter *starter
	tasks   *tasks
	log     *slog.Logger
}

func (s *autostarts) begin() {
	s.tasks.starts.Go(func() {
		if err := s.startWithHost(s.tasks.ctx); err != nil && s.tasks.ctx.Err() == nil {
			s.log.Error("cannot start the VMs that start with the host", "cause", err)
		}
	})
}

func (s *autostarts) startWithHost(ctx context.Context) error {
	hostBoot, err := process.BootID()
	if err != nil {
		return err
	}
	vms, err := s.store.ListVMs(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(startsAtOnce)
	for _, vm := range vms {
		if vm.Autostart && vm.HostBootID != hostBoot {
			group.Go(func() error {
				s.autostart(ctx, vm, hostBoot)
				return nil
			})
		}
	}
	return group.Wait()
}

// autostart starts one machine. A start that failed is on record, but for one that did
// not even begin.
func (s *autostarts) autostart(ctx context.Context, vm banger.VM, hostBoot string) {
	_, err := s.starter.start(ctx, vm.ID)
	if err == nil || ctx.Err() != nil || banger.CodeOf(err) == banger.CodeNotFound {
		return // started, or the next daemon's, or deleted meanwhile
	}
	s.log.Error("cannot start a VM that starts with the host", "vm", vm.ID, "cause", err)
	_, recordErr := s.store.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		if vm.HostBootID != hostBoot {
			vm.LastError = "it did not start with the host: " + err.Error()
		}
		return nil
	})
	if recordErr != nil {
		s.log.Error("cannot record a failed start", "vm", vm.ID, "cause", errors.Join(err, recordErr))
	}
}
