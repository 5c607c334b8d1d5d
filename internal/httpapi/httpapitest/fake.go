// Package httpapitest has what tests of both sides of the API need: services
// that record how they were called, and a daemon that serves them.
package httpapitest

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"banger"
	"banger/internal/httpapi"
)

// Fake implements all services. Each call is recorded and answered with the
// record that the fake holds, or with Err. A function that is set serves its
// method instead. The exported fields must not be changed while it is in use.
type Fake struct {
	VM      banger.VM
	Session banger.Session
	Steps   []string // of AddRemote
	Image   banger.Image
	Err     error

	OnCreateVM func(context.Context, banger.VMRequest) (banger.VM, error)
	OnStart    func(context.Context, banger.SessionRequest) (banger.Session, error)
	OnWait     func(context.Context) (banger.Session, error)
	OnAttach   func(conn net.Conn, number int64)
	OnSend     func(context.Context, banger.SendRequest) (banger.SendResult, error)
	OnLogs     func(context.Context, banger.LogRequest, func(banger.LogChunk) error) error
	OnSearch   func(context.Context, func(banger.SearchResult) error) (banger.SearchEnd, error)
	OnBuild    func(context.Context, func(banger.BuildProgress)) (banger.Image, error)
	OnWatch    func(context.Context, int64, func(banger.Event) error) error
	Revision   int64  // of Info
	Next       string // where the first page of a list ends

	mu    sync.Mutex // guards calls
	calls []string
}

var (
	_ banger.VMService      = (*Fake)(nil)
	_ banger.SessionService = (*Fake)(nil)
	_ banger.SessionStreams = (*Fake)(nil)
	_ banger.SessionControl = (*Fake)(nil)
	_ banger.ImageService   = (*Fake)(nil)
	_ banger.EventService   = (*Fake)(nil)
	_ banger.HostService    = (*Fake)(nil)
	_ banger.TrashService   = (*Fake)(nil)
)

// Services returns the fake as every service.
func (f *Fake) Services() httpapi.Services {
	return httpapi.Services{
		Services:    banger.Services{VMs: f, Remotes: f, Sessions: f, Streams: f, Control: f, Images: f, Events: f, Host: f, Trash: f},
		Attachments: f,
	}
}

// Calls returns the calls since the last time, each as "Method arguments".
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

func (f *Fake) record(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

// CreateVM implements banger.VMService.
func (f *Fake) CreateVM(ctx context.Context, r banger.VMRequest) (banger.VM, error) {
	f.record("CreateVM %+v", r)
	if f.OnCreateVM != nil {
		return f.OnCreateVM(ctx, r)
	}
	return f.VM, f.Err
}

// ListVMs implements banger.VMService.
func (f *Fake) ListVMs(context.Context) ([]banger.VM, error) {
	f.record("ListVMs")
	return []banger.VM{f.VM}, f.Err
}

// GetVM implements banger.VMService.
func (f *Fake) GetVM(_ context.Context, ref string) (banger.VM, error) {
	f.record("GetVM %q", ref)
	return f.VM, f.Err
}

// DeleteVM implements banger.VMService.
func (f *Fake) DeleteVM(_ context.Context, ref string, force bool) error {
	f.record("DeleteVM %q %v", ref, force)
	return f.Err
}

// SetVM implements banger.VMService.
func (f *Fake) SetVM(_ context.Context, ref string, u banger.VMUpdate) (banger.VM, error) {
	f.record("SetVM %q autostart %v", ref, u.Autostart != nil && *u.Autostart)
	return f.VM, f.Err
}

// RenameVM implements banger.VMService.
func (f *Fake) RenameVM(_ context.Context, ref string, r banger.VMRename) (banger.VM, error) {
	f.record("RenameVM %q %q", ref, r.Name)
	return f.VM, f.Err
}

// StartVM implements banger.VMService.
func (f *Fake) StartVM(_ context.Context, ref string) (banger.VM, error) {
	f.record("StartVM %q", ref)
	return f.VM, f.Err
}

// StopVM implements banger.VMService.
func (f *Fake) StopVM(_ context.Context, ref string, r banger.VMStopRequest) (banger.VM, error) {
	f.record("StopVM %q %+v", ref, r)
	return f.VM, f.Err
}

// ConsoleLog implements banger.VMService.
func (f *Fake) ConsoleLog(_ context.Context, ref string, maxBytes int64) ([]byte, error) {
	f.record("ConsoleLog %q %d", ref, maxBytes)
	return []byte("boot\r\n\xff"), f.Err
}

// SSHAccess implements banger.VMService.
func (f *Fake) SSHAccess(_ context.Context, ref string) (banger.SSHAccess, error) {
	f.record("SSHAccess %q", ref)
	return banger.SSHAccess{User: "root", Host: "127.0.0.1", Port: 2222}, f.Err
}

// StartSession implements banger.SessionService.
func (f *Fake) StartSession(ctx context.Context, vm string, r banger.SessionRequest) (banger.Session, error) {
	f.record("StartSession %q %q %q %v", vm, r.Command, r.Args, r.Env)
	if f.OnStart != nil {
		return f.OnStart(ctx, r)
	}
	return f.Session, f.Err
}

// ListSessions implements banger.SessionService.
func (f *Fake) ListSessions(_ context.Context, filter banger.SessionFilter) ([]banger.Session, error) {
	f.record("ListSessions %q", filter)
	return []banger.Session{f.Session}, f.Err
}

// SummarizeSessions implements banger.SessionService.
func (f *Fake) SummarizeSessions(_ context.Context, filter banger.SessionFilter) ([]banger.SessionSummary, error) {
	f.record("SummarizeSessions %q", filter)
	return []banger.SessionSummary{f.Session.Summary()}, f.Err
}

// PageSessions implements banger.SessionService.
func (f *Fake) PageSessions(_ context.Context, filter banger.SessionFilter, after string, limit int) ([]banger.Session, string, error) {
	f.record("PageSessions %q %q %d", filter, after, limit)
	return []banger.Session{f.Session}, f.next(after), f.Err
}

// PageSummaries implements banger.SessionService.
func (f *Fake) PageSummaries(_ context.Context, filter banger.SessionFilter, after string, limit int) ([]banger.SessionSummary, string, error) {
	f.record("PageSummaries %q %q %d", filter, after, limit)
	return []banger.SessionSummary{f.Session.Summary()}, f.next(after), f.Err
}

// next returns where the page after the first one begins.
func (f *Fake) next(after string) string {
	if after != "" {
		return ""
	}
	return f.Next
}

// GetSession implements banger.SessionService.
func (f *Fake) GetSession(_ context.Context, vm, session string) (banger.Session, error) {
	f.record("GetSession %q %q", vm, session)
	return f.Session, f.Err
}

// InspectSession implements banger.SessionService.
func (f *Fake) InspectSession(_ context.Context, vm, session string) (banger.Session, error) {
	f.record("InspectSession %q %q", vm, session)
	return f.Session, f.Err
}

// RemoveSession implements banger.SessionService.
func (f *Fake) RemoveSession(_ context.Context, vm, session string, force bool) error {
	f.record("RemoveSession %q %q %v", vm, session, force)
	return f.Err
}

// WaitSession implements banger.SessionService.
func (f *Fake) WaitSession(ctx context.Context, vm, session string) (banger.Session, error) {
	f.record("WaitSession %q %q", vm, session)
	if f.OnWait != nil {
		return f.OnWait(ctx)
	}
	return f.Session, f.Err
}

// PruneSessions implements banger.SessionService.
func (f *Fake) PruneSessions(_ context.Context, r banger.PruneRequest) (banger.PruneResult, error) {
	keep := -1
	if r.Keep != nil {
		keep = *r.Keep
	}
	f.record("PruneSessions %q %v %v keep %d bytes %d dry %v", r.VM, r.Tags, r.OlderThan, keep, r.MaxBytes, r.DryRun)
	return banger.PruneResult{}, f.Err
}

// AttachSession implements httpapi.Attachments. What a client sends comes back.
func (f *Fake) AttachSession(_ context.Context, vm, session string) (func(context.Context, net.Conn, int64), error) {
	f.record("AttachSession %q %q", vm, session)
	return func(ctx context.Context, conn net.Conn, number int64) {
		defer conn.Close()
		unblock := context.AfterFunc(ctx, func() { conn.Close() })
		defer unblock()
		if f.OnAttach != nil {
			f.OnAttach(conn, number)
			return
		}
		_, _ = io.Copy(conn, conn)
	}, f.Err
}

// SendSession implements banger.SessionStreams. It records what it was sent.
func (f *Fake) SendSession(ctx context.Context, vm, session string, r banger.SendRequest) (banger.SendResult, error) {
	if f.OnSend != nil {
		f.record("SendSession")
		return f.OnSend(ctx, r)
	}
	data, err := io.ReadAll(r.Data)
	if err != nil {
		return banger.SendResult{}, err
	}
	f.record("SendSession %q %q %q %v", vm, session, data, r.EOF)
	return banger.SendResult{Offset: int64(len(data)), EOF: r.EOF}, f.Err
}

// AddRemote implements banger.RemoteService.
func (f *Fake) AddRemote(ctx context.Context, r banger.RemoteRequest) (banger.VM, error) {
	f.record("AddRemote %+v", r)
	for _, step := range f.Steps {
		banger.Step(ctx, step)
	}
	return f.VM, f.Err
}

// UnlockRemote implements banger.RemoteService.
func (f *Fake) UnlockRemote(_ context.Context, ref string, a banger.RemoteAnswers) (banger.VM, error) {
	f.record("UnlockRemote %q %+v", ref, a)
	return f.VM, f.Err
}

// StopSession implements banger.SessionControl.
func (f *Fake) StopSession(_ context.Context, vm, session string, r banger.StopRequest) (banger.Session, error) {
	f.record("StopSession %q %q %+v", vm, session, r)
	return f.Session, f.Err
}

// SignalSession implements banger.SessionControl.
func (f *Fake) SignalSession(_ context.Context, vm, session string, r banger.SignalRequest) error {
	f.record("SignalSession %q %q %q %v", vm, session, r.Signal, r.All)
	return f.Err
}

// ReadLogs implements banger.SessionStreams.
func (f *Fake) ReadLogs(ctx context.Context, vm, session string, r banger.LogRequest, fn func(banger.LogChunk) error) (banger.LogEnd, error) {
	from := int64(-1)
	if r.From != nil {
		from = *r.From
	}
	selected := ""
	if !r.Since.IsZero() || !r.Until.IsZero() || r.Grep != "" {
		selected = fmt.Sprintf(" since %v until %v grep %q", r.Since, r.Until, r.Grep)
	}
	f.record("ReadLogs %q %q %s lines %d from %d cursor %v follow %v%s", vm, session, r.Stream, r.Lines, from, r.Cursor, r.Follow, selected)
	if f.OnLogs != nil {
		return banger.LogEnd{}, f.OnLogs(ctx, r, fn)
	}
	return banger.LogEnd{}, f.Err
}

// MatchSession implements banger.SessionStreams.
func (f *Fake) MatchSession(_ context.Context, vm, session string, r banger.MatchRequest) (banger.Match, error) {
	f.record("MatchSession %q %q %q %s cursor %v", vm, session, r.Pattern, r.Stream, r.Cursor)
	return banger.Match{}, f.Err
}

// SearchSessions implements banger.SessionStreams.
func (f *Fake) SearchSessions(ctx context.Context, r banger.SearchRequest, fn func(banger.SearchResult) error) (banger.SearchEnd, error) {
	f.record("SearchSessions %+v", r)
	if f.OnSearch != nil {
		return f.OnSearch(ctx, fn)
	}
	return banger.SearchEnd{}, f.Err
}

// BuildImage implements banger.ImageService.
func (f *Fake) BuildImage(ctx context.Context, name string, r banger.ImageRecipe, progress func(banger.BuildProgress)) (banger.Image, error) {
	f.record("BuildImage %q %q", name, r)
	if f.OnBuild != nil {
		return f.OnBuild(ctx, progress)
	}
	return f.Image, f.Err
}

// ListImages implements banger.ImageService.
func (f *Fake) ListImages(context.Context) ([]banger.Image, error) {
	f.record("ListImages")
	return []banger.Image{f.Image}, f.Err
}

// GetImage implements banger.ImageService.
func (f *Fake) GetImage(_ context.Context, ref string) (banger.Image, error) {
	f.record("GetImage %q", ref)
	return f.Image, f.Err
}

// DeleteImage implements banger.ImageService.
func (f *Fake) DeleteImage(_ context.Context, ref string) error {
	f.record("DeleteImage %q", ref)
	return f.Err
}

// WatchEvents implements banger.EventService.
func (f *Fake) WatchEvents(ctx context.Context, since int64, fn func(banger.Event) error) error {
	f.record("WatchEvents %d", since)
	if f.OnWatch != nil {
		return f.OnWatch(ctx, since, fn)
	}
	return f.Err
}

// Doctor implements banger.HostService.
func (f *Fake) Doctor(_ context.Context, deep bool) ([]banger.Check, error) {
	f.record("Doctor %v", deep)
	return []banger.Check{{Name: "qemu", Status: banger.CheckOK, Detail: "7.2"}}, f.Err
}

// Info implements banger.HostService.
func (f *Fake) Info(context.Context) (banger.DaemonInfo, error) {
	f.record("Info")
	return banger.DaemonInfo{Version: "v1", Revision: f.Revision}, f.Err
}

// Shutdown implements banger.HostService.
func (f *Fake) Shutdown(context.Context) error {
	f.record("Shutdown")
	return f.Err
}

// ListTrash implements banger.TrashService.
func (f *Fake) ListTrash(context.Context) ([]banger.Trashed, error) {
	f.record("ListTrash")
	return []banger.Trashed{{Path: "/trash", Bytes: 1}}, f.Err
}

// EmptyTrash implements banger.TrashService.
func (f *Fake) EmptyTrash(context.Context) ([]banger.Trashed, error) {
	f.record("EmptyTrash")
	return []banger.Trashed{{Path: "/trash", Bytes: 1}}, f.Err
}
