package machine

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"banger"
	"banger/internal/vmm"
)

// runs are those of machines that may be running. Safe for concurrent use.
type runs struct {
	store    Store
	links    Links
	reporter *reporter
	room     room
	tasks    *tasks
	log      *slog.Logger

	mu   sync.Mutex // guards kept
	kept map[banger.VMID]*run
}

// begin takes over a machine. The caller holds the VM's lock.
func (s *runs) begin(vm banger.VM, m vmm.Machine, hostKey string) *run {
	r := &run{runs: s, id: vm.ID, machine: m, sessions: s.reporter.sessions.Guest(vm.ID, vm.Epoch), pauses: newPauses(), presence: newPresence(), released: make(chan struct{})}
	r.pausing = &pauseFollower{id: vm.ID, machine: m, pauses: r.pauses, store: s.store, room: s.room, log: s.log}
	if !vm.ReadyAt.IsZero() && (vm.State == banger.VMRunning || vm.State == banger.VMPaused || vm.State == banger.VMStopping) {
		r.presence.noteUp() // an earlier daemon had its answer
	}
	seen := m
	_, pauses := m.(vmm.PausingMachine)
	if dialer, ok := m.(vmm.Dialer); ok && pauses {
		seen = awake{dialer, r.pauses}
	}
	serve, err := s.links.Open(vmm.GuestAccess{VMID: vm.ID, Machine: seen, User: loginUser, HostKey: hostKey}, r)
	if err != nil {
		s.log.Error("cannot open link to guest", "vm", vm.ID, "cause", err)
		serve = func(context.Context) error { return err }
	}
	s.mu.Lock()
	s.kept[vm.ID] = r
	s.mu.Unlock()
	go r.loop(serve)
	return r
}

// of returns the run of a VM, nil if it has none.
func (s *runs) of(id banger.VMID) *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[id]
}

func (s *runs) all() []*run {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*run
	for _, r := range s.kept {
		all = append(all, r)
	}
	return all
}

// forget is called when nothing of a run is left.
func (s *runs) forget(id banger.VMID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, id)
}

// stop begins to end the machine of a run, which continues whoever waits for it. ended gets
// how that went.
func (s *runs) stop(r *run, grace time.Duration) (ended <-chan error) {
	done := make(chan error, 1)
	x := &shutdown{of: r, grace: grace, store: s.store, tasks: s.tasks, log: s.log}
	s.tasks.work.Go(func() { done <- x.run() })
	return done
}
