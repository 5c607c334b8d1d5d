// Package httpapi serves the API of package api over a unix socket. Most operations are
// calls of a service, which their rows in package api make; the others have handlers here.
// The rules are the services'.
package httpapi

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"banger"
	"banger/api"
)

// Services are what the API gives access to.
type Services struct {
	banger.Services
	Attachments Attachments
	Copies      Copies
}

// New returns the handler of the API. version is that of this build. Every call
// of a service ends when the client goes away or the server's base context ends.
func New(s Services, version string) http.Handler {
	return newServer(s, version, api.Heartbeat)
}

type server struct {
	Services
	version   string
	heartbeat time.Duration
}

func newServer(services Services, version string, heartbeat time.Duration) http.Handler {
	s := &server{Services: services, version: version, heartbeat: heartbeat}
	mux := http.NewServeMux()
	own := map[string]http.HandlerFunc{}
	for _, h := range s.handlers() {
		own[h.id] = h.serve
	}
	for _, route := range api.Routes() {
		serve := own[route.ID]
		if call := route.Serve(); call != nil {
			serve = s.answer(route, func(r *http.Request) (any, error) { return call(r, s.Services.Services) })
		}
		mux.HandleFunc(route.Method+" "+route.Path, serve)
	}
	for path, methods := range methodsByPath() {
		mux.HandleFunc(path, otherMethod(methods))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, r, banger.Errorf(banger.CodeNotFound, "cannot %s %s: there is no such route", r.Method, r.URL.Path).
			WithHint("GET /openapi.json has the routes"))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(api.HeaderVersion, version)
		mux.ServeHTTP(w, r)
	})
}

// methodsByPath returns what each path can be asked with, sorted. What is read by GET
// can be asked by HEAD, too.
func methodsByPath() map[string][]string {
	methods := map[string][]string{}
	for _, route := range api.Routes() {
		methods[route.Path] = append(methods[route.Path], route.Method)
		if route.Method == http.MethodGet {
			methods[route.Path] = append(methods[route.Path], http.MethodHead)
		}
	}
	for _, list := range methods {
		slices.Sort(list)
	}
	return methods
}

// otherMethod answers a request for a path that is there, with a method that it does not
// have: RFC 9110, section 15.5.6.
func otherMethod(methods []string) http.HandlerFunc {
	allow := strings.Join(methods, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		err := banger.Errorf(banger.CodeInvalid, "cannot %s %s: that path allows only %s", r.Method, r.URL.Path, allow).
			WithHint("GET /openapi.json has the routes")
		writeResult(w, http.StatusMethodNotAllowed, api.ErrorBody{Error: err})
	}
}

// handlers are those of the operations that take more than a call of a service.
func (s *server) handlers() []handler {
	return []handler{
		answered(s, api.WaitSession, s.waitSession),
		answered(s, api.MatchSession, s.matchSession),
		answered(s, api.SendSession, s.sendSession),
		streamed(s, api.ReadLogs, s.readLogs),
		streamed(s, api.SearchSessions, s.searchSessions),
		streamed(s, api.WatchEvents, s.watchEvents),
		streamed(s, api.BuildImage, s.buildImage),
		streamed(s, api.PullImage, s.pullImage),
		streamed(s, api.ImportImage, s.importImage),
		streamed(s, api.PullKernel, s.pullKernel),
		streamed(s, api.AddRemote, s.addRemote),
		streamed(s, api.UnlockRemote, s.unlockRemote),
		upgraded(s, api.ExecSession, s.execSession),
		upgraded(s, api.AttachSession, s.attachSession),
		upgraded(s, api.AttachWebSocket, s.attachWebSocket),
		upgraded(s, api.CopyFiles, s.copyFiles),
	}
}
