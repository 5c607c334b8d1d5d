package servicetest

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"banger"
)

// StartSession implements banger.SessionService.
func (f *Fake) StartSession(ctx context.Context, vm string, r banger.SessionRequest) (banger.Session, error) {
	unlock := f.call(fmt.Sprintf("%q %q %q %v", vm, r.Command, r.Args, r.Env), "StartSession", vm, r)
	if f.OnStart != nil {
		unlock()
		return f.OnStart(ctx, r)
	}
	defer unlock()
	if !f.Strict || f.Err != nil {
		return f.standIn(), f.Err
	}
	v, err := f.vm(vm)
	if err != nil {
		return banger.Session{}, err
	}
	if err := r.Validate(); err != nil {
		return banger.Session{}, err
	}
	if v.State != banger.VMRunning {
		return banger.Session{}, banger.Errorf(banger.CodeState, "cannot start session: VM %s is %s", v.Name, v.State)
	}
	if slices.ContainsFunc(f.Sessions, func(x banger.Session) bool { return x.VMID == v.ID && x.Name == r.Name }) {
		return banger.Session{}, banger.Errorf(banger.CodeExists, "cannot name session %q: its VM has one of that name", r.Name)
	}
	x := banger.Session{ID: banger.NewSessionID(), VMID: v.ID, Name: r.Name, Launch: r.Launch, Tags: r.Tags}
	x.Status = banger.StatusRunning
	f.Sessions = append(f.Sessions, x)
	return f.changeSession(banger.EventSessionCreated, &f.Sessions[len(f.Sessions)-1]), nil
}

func (f *Fake) changeSession(kind banger.EventKind, x *banger.Session) banger.Session {
	x.Revision = f.Revision + 1
	f.emit(banger.Event{Kind: kind, Session: new(*x)})
	return *x
}

// PageSessions implements banger.SessionService.
func (f *Fake) PageSessions(_ context.Context, filter banger.SessionFilter, after string, limit int) ([]banger.Session, string, error) {
	defer f.call(fmt.Sprintf("%q %q %d", filter, after, limit), "PageSessions", filter, after, limit)()
	return f.page(filter, after, limit)
}

// page is a part of the sessions that a filter selects; after is a place among those.
func (f *Fake) page(filter banger.SessionFilter, after string, limit int) ([]banger.Session, string, error) {
	if f.Err != nil {
		return nil, "", f.Err
	}
	if !f.Strict && f.Sessions == nil {
		if after != "" {
			return []banger.Session{f.Session}, "", nil
		}
		return []banger.Session{f.Session}, f.Next, nil
	}
	var vm banger.VMID
	if filter.VM != "" {
		v, err := f.vm(filter.VM)
		if err != nil {
			return nil, "", err
		}
		vm = v.ID
	}
	var selected []banger.Session
	for _, x := range f.Sessions {
		if (vm == "" || x.VMID == vm || !f.Strict) && (filter.Match(x) || !f.Strict) {
			selected = append(selected, x)
		}
	}
	from, _ := strconv.Atoi(after)
	if limit == 0 {
		limit = banger.MaxPageSessions
	}
	selected = selected[min(from, len(selected)):]
	if len(selected) <= limit {
		return selected, "", nil
	}
	return selected[:limit], strconv.Itoa(from + limit), nil
}

// ListSessions implements banger.SessionService.
func (f *Fake) ListSessions(_ context.Context, filter banger.SessionFilter) ([]banger.Session, error) {
	defer f.call(fmt.Sprintf("%q", filter), "ListSessions", filter)()
	sessions, _, err := f.page(filter, "", 0)
	return sessions, err
}

// SummarizeSessions implements banger.SessionService.
func (f *Fake) SummarizeSessions(_ context.Context, filter banger.SessionFilter) ([]banger.SessionSummary, error) {
	defer f.call(fmt.Sprintf("%q", filter), "SummarizeSessions", filter)()
	sessions, _, err := f.page(filter, "", 0)
	return summaries(sessions), err
}

// PageSummaries implements banger.SessionService.
func (f *Fake) PageSummaries(_ context.Context, filter banger.SessionFilter, after string, limit int) ([]banger.SessionSummary, string, error) {
	defer f.call(fmt.Sprintf("%q %q %d", filter, after, limit), "PageSummaries", filter, after, limit)()
	sessions, next, err := f.page(filter, after, limit)
	return summaries(sessions), next, err
}

func summaries(sessions []banger.Session) (out []banger.SessionSummary) {
	for _, x := range sessions {
		out = append(out, x.Summary())
	}
	return out
}

// standIn is what a ref means that means nothing else.
func (f *Fake) standIn() banger.Session {
	if len(f.Sessions) > 0 {
		return f.Sessions[0]
	}
	return f.Session
}

// found returns a copy of the session that refs mean.
func (f *Fake) found(vm, session string) (banger.Session, error) {
	if f.Err != nil {
		return banger.Session{}, f.Err
	}
	x, err := f.session(vm, session)
	if err != nil {
		return banger.Session{}, err
	}
	return *x, nil
}

// GetSession implements banger.SessionService.
func (f *Fake) GetSession(_ context.Context, vm, session string) (banger.Session, error) {
	defer f.call(fmt.Sprintf("%q %q", vm, session), "GetSession", vm, session)()
	return f.found(vm, session)
}

// InspectSession implements banger.SessionService.
func (f *Fake) InspectSession(_ context.Context, vm, session string) (banger.Session, error) {
	defer f.call(fmt.Sprintf("%q %q", vm, session), "InspectSession", vm, session)()
	return f.found(vm, session)
}

// RemoveSession implements banger.SessionService.
func (f *Fake) RemoveSession(_ context.Context, vm, session string, force bool) error {
	defer f.call(fmt.Sprintf("%q %q %v", vm, session, force), "RemoveSession", vm, session, force)()
	x, err := f.found(vm, session)
	if err != nil || !f.Strict {
		return err
	}
	if !x.Status.Ended() && !force {
		return banger.Errorf(banger.CodeState, "cannot remove session %q: it is %s", x.Name, x.Status)
	}
	f.Sessions = slices.DeleteFunc(f.Sessions, func(y banger.Session) bool { return y.VMID == x.VMID && y.ID == x.ID })
	f.emit(banger.Event{Kind: banger.EventSessionDeleted, Session: &x})
	return nil
}

// WaitSession implements banger.SessionService.
func (f *Fake) WaitSession(ctx context.Context, vm, session string) (x banger.Session, err error) {
	f.call(fmt.Sprintf("%q %q", vm, session), "WaitSession", vm, session)()
	if f.OnWait != nil {
		return f.OnWait(ctx)
	}
	ended := f.await(ctx, func() bool {
		x, err = f.found(vm, session)
		return err != nil || x.Status.Ended() || !f.Strict
	})
	if ended != nil {
		return banger.Session{}, ended
	}
	return x, err
}
