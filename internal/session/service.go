// Package session holds the rules about sessions: it starts them in guests,
// follows what becomes of them, feeds and ends them, and reads their logs. What
// a session is in the guest is the business of internal/agent.
package session

import (
	"context"
	"log/slog"
	"sync"

	"banger"
	"banger/internal/guestapi"
)

// Guests gives the running guests; internal/guest.Links does.
type Guests interface {
	// Guest waits until the link to the guest of a running VM is up.
	Guest(ctx context.Context, id banger.VMID) (guestapi.Guest, error)
	// Refused returns why a remote host has refused the login, unless that is tried again
	// by itself; nil if it has not.
	Refused(id banger.VMID) error
}

// Config is what Services are made of. Store, VMs, Guests and Log are needed.
type Config struct {
	Store  Store
	VMs    VMs
	Guests Guests
	// Retention says which ended sessions are removed without a request; the zero value
	// removes none.
	Retention banger.Retention
	// Clock tells how old an ended session is; nil is the host's clock.
	Clock Clock
	Log   *slog.Logger
}

// Services are those of all sessions that need no disk. NewOutput makes the others of
// them, once there is somebody who reads the disks of VMs that do not run: that is told
// of guests and machines by Reconciler, and so comes in between.
type Services struct {
	Sessions   *Sessions
	Control    *Control
	Reconciler *Reconciler

	finder   *finder
	reach    *reach
	launcher *launcher
	keeper   *keeper // nil: nothing is removed without a request
	tasks    *tasks
	log      *slog.Logger
}

// New returns services that do nothing before they are called. What they have begun ends
// with Close, which comes before the end of guests and disks, whatever becomes of ctx.
func New(ctx context.Context, c Config) *Services {
	if c.Clock == nil {
		c.Clock = wallClock{}
	}
	store := &stampedStore{c.Store, c.Clock}
	tasks := newTasks(ctx)
	reach := &reach{guests: c.Guests, vms: c.VMs}
	finder := &finder{store: store, vms: c.VMs, reach: reach}
	remover := &remover{store: store, reach: reach}
	keeper := newKeeper(c.Retention, c.Clock, store, remover, c.Log)
	launches := newLaunches(tasks.ctx)
	paces := newPaces()
	recorder := &recorder{store: store, launches: launches, paces: paces, keeper: keeper}
	launcher := &launcher{store: store, reach: reach, launches: launches, recorder: recorder, tasks: tasks, log: c.Log}
	control := &Control{finder: finder, reach: reach, launcher: launcher, recorder: recorder}
	return &Services{
		Sessions: &Sessions{finder: finder, reach: reach, launcher: launcher, control: control, remover: remover, clock: c.Clock},
		Control:  control,
		Reconciler: &Reconciler{
			store: store, vms: c.VMs, launches: launches, recorder: recorder, paces: paces, keeper: keeper, tasks: tasks, log: c.Log,
			boots: map[banger.VMID]boot{},
		},
		finder: finder, reach: reach, launcher: launcher, keeper: keeper, tasks: tasks, log: c.Log,
	}
}

// NewOutput returns the services of what sessions read and write, of VMs that run and of
// those that do not. They end with s.
func NewOutput(s *Services, disks Disks) (*Streams, *Attachments) {
	epochs := &epochs{store: s.finder.store, vms: s.finder.vms}
	pages := &pages{reach: s.reach, disks: disks, epochs: epochs}
	shims := &shims{store: s.finder.store, guests: s.reach.guests, launcher: s.launcher, pages: pages, epochs: epochs, tasks: s.tasks}
	streams := &Streams{finder: s.finder, launcher: s.launcher, pages: pages, shims: shims, epochs: epochs, senderID: string(banger.NewSessionID())}
	return streams, &Attachments{finder: s.finder, launcher: s.launcher, shims: shims, epochs: epochs, ctx: s.tasks.ctx, log: s.log}
}

// Retain begins to remove ended sessions as Config.Retention says, until Close.
func (s *Services) Retain() {
	if s.keeper != nil {
		s.tasks.work.Go(func() { s.keeper.run(s.tasks.ctx) })
	}
}

// Close gives up the launches in hand, and waits for them; the next daemon settles them.
// It ends attachments, too, for which whoever serves their connections waits.
func (s *Services) Close() error {
	s.tasks.cancel()
	s.tasks.work.Wait()
	return nil
}

// tasks are what continues when the client that asked for it has gone, until Close.
type tasks struct {
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
}

func newTasks(ctx context.Context) *tasks {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	return &tasks{ctx: ctx, cancel: cancel}
}
