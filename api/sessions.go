package api

import (
	"context"
	"net/http"
	"time"

	"banger"
)

// SessionPage is the request of a page of a list of sessions.
type SessionPage struct {
	banger.SessionFilter
	Limit int    `query:"limit" min:"1" max:"1000" doc:"maximum number of sessions in the page, 1000 at most and by default; sessions with large launches come in smaller pages"`
	After string `query:"after" doc:"next of the previous page; default: begin with the first session"`
}

// GetSessionRequest is the request of GetSession.
type GetSessionRequest struct {
	VM      string `path:"vm"`
	Session string `path:"session"`
	Live    bool   `query:"live" doc:"with the current counters, if the guest is reachable"`
}

// RemoveSessionRequest is the request of RemoveSession.
type RemoveSessionRequest struct {
	VM      string `path:"vm"`
	Session string `path:"session"`
	Force   bool   `query:"force" doc:"kill it first if it has not ended"`
}

// Patience is how long a request waits.
type Patience struct {
	Timeout *time.Duration `query:"timeout_ms" doc:"fail after this time, with the error timeout"`
}

// KillRequest is the request of KillSession.
type KillRequest struct {
	VM      string `path:"vm"`
	Session string `path:"session"`
	By      string `query:"by" doc:"the requester, for the record"`
}

// The operations on sessions as a whole.
var (
	StartSession = operation(Route{
		ID: "startSession", Method: http.MethodPost, Path: "/v1/vms/{vm}/sessions", Summary: "Start a session; a failed launch is a session, too.",
		Status: http.StatusCreated, Errors: codes(banger.CodeState, banger.CodeExists),
	}, func(ctx context.Context, s banger.Services, q VMBody[banger.SessionRequest]) (banger.Session, error) {
		return s.Sessions.StartSession(ctx, q.VM, q.Body)
	})

	ListSessions = operation(Route{
		ID: "listSessions", Method: http.MethodGet, Path: "/v1/sessions", Summary: "List a page of the sessions, oldest first.",
	}, func(ctx context.Context, s banger.Services, q SessionPage) (SessionList, error) {
		sessions, next, err := s.Sessions.PageSessions(ctx, q.SessionFilter, q.After, q.Limit)
		return SessionList{list(sessions), next}, err
	})

	SummarizeSessions = operation(Route{
		ID: "summarizeSessions", Method: http.MethodGet, Path: "/v1/sessions/summaries", Summary: "List a page of summaries of the sessions, oldest first.",
	}, func(ctx context.Context, s banger.Services, q SessionPage) (SummaryList, error) {
		summaries, next, err := s.Sessions.PageSummaries(ctx, q.SessionFilter, q.After, q.Limit)
		return SummaryList{list(summaries), next}, err
	})

	GetSession = operation(Route{
		ID: "getSession", Method: http.MethodGet, Path: sessionPath, Summary: "Show a session.",
	}, func(ctx context.Context, s banger.Services, q GetSessionRequest) (banger.Session, error) {
		if q.Live {
			return s.Sessions.InspectSession(ctx, q.VM, q.Session)
		}
		return s.Sessions.GetSession(ctx, q.VM, q.Session)
	})

	RemoveSession = operation(Route{
		ID: "removeSession", Method: http.MethodDelete, Path: sessionPath, Summary: "Remove a session and its logs.",
		Errors: codes(banger.CodeState),
	}, func(ctx context.Context, s banger.Services, q RemoveSessionRequest) (None, error) {
		return None{}, s.Sessions.RemoveSession(ctx, q.VM, q.Session, q.Force)
	})

	WaitSession = special[SessionQuery[Patience], banger.Session](Route{
		ID: "waitSession", Method: http.MethodGet, Path: sessionPath + "/wait", Summary: "Answer when a session has ended.",
		Errors: codes(banger.CodeGone),
	})

	PruneSessions = operation(Route{
		ID: "pruneSessions", Method: http.MethodPost, Path: "/v1/sessions/prune",
		Summary: "Remove the ended sessions of each VM that meet any of the criteria; at least one criterion is required.",
	}, func(ctx context.Context, s banger.Services, q banger.PruneRequest) (banger.PruneResult, error) {
		return s.Sessions.PruneSessions(ctx, q)
	})

	StopSession = operation(Route{
		ID: "stopSession", Method: http.MethodPost, Path: sessionPath + "/stop", Summary: "End a session with its stop signal, by default SIGTERM; answers when it has ended.",
		Errors: codes(banger.CodeState),
	}, func(ctx context.Context, s banger.Services, q SessionQuery[banger.StopRequest]) (banger.Session, error) {
		return s.Control.StopSession(ctx, q.VM, q.Session, q.Request)
	})

	KillSession = operation(Route{
		ID: "killSession", Method: http.MethodPost, Path: sessionPath + "/kill", Summary: "Kill every process of a session; answers when it has ended.",
		Errors: codes(banger.CodeState),
	}, func(ctx context.Context, s banger.Services, q KillRequest) (banger.Session, error) {
		return s.Control.StopSession(ctx, q.VM, q.Session, banger.StopRequest{Kill: true, By: q.By})
	})

	SignalSession = operation(Route{
		ID: "signalSession", Method: http.MethodPost, Path: sessionPath + "/signal", Summary: "Send a signal to a session, once.",
		Errors: codes(banger.CodeState),
	}, func(ctx context.Context, s banger.Services, q SessionQuery[banger.SignalRequest]) (None, error) {
		return None{}, s.Control.SignalSession(ctx, q.VM, q.Session, q.Request)
	})
)

func sessionRoutes() []Route {
	return []Route{
		StartSession.Route, ListSessions.Route, SummarizeSessions.Route, GetSession.Route, RemoveSession.Route,
		WaitSession.Route, PruneSessions.Route, StopSession.Route, KillSession.Route, SignalSession.Route,
	}
}
