// Package httpapi serves the API of package api over a unix socket. A handler
// decodes a request, calls a service and encodes what it answers; the rules are
// the services'.
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
	VMs      banger.VMService
	Remotes  banger.RemoteService
	Sessions banger.SessionService
	Streams  banger.SessionStreams
	Control  banger.SessionControl
	Images   banger.ImageService
	Events   banger.EventService
	Host     banger.HostService
	Trash    banger.TrashService

	Attachments Attachments
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

// call serves a route whose answer is one body: it returns a value to encode, a
// []byte to send as it is, or nil for an empty answer.
type call func(*request) (any, error)

// streamCall serves a route whose answer is a stream of lines.
type streamCall func(*request, *stream) error

func newServer(services Services, version string, heartbeat time.Duration) http.Handler {
	s := &server{Services: services, version: version, heartbeat: heartbeat}
	calls, streams, upgrades := s.calls(), s.streams(), s.upgrades()
	mux := http.NewServeMux()
	for _, route := range api.Routes() {
		handler := s.answerCall(route, calls[route.ID])
		switch route.Kind {
		case api.KindStream:
			handler = s.answerStream(route, streams[route.ID])
		case api.KindUpgrade:
			handler = s.answerUpgrade(route, upgrades[route.ID])
		}
		mux.HandleFunc(route.Method+" "+route.Path, handler)
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

// calls, streams and upgrades are what serves each route of package api, by its ID.
func (s *server) calls() map[string]call {
	return map[string]call{
		"createVM": s.createVM, "listVMs": s.listVMs, "getVM": s.getVM, "setVM": s.setVM, "deleteVM": s.deleteVM,
		"startVM": s.startVM, "stopVM": s.stopVM, "consoleLog": s.consoleLog, "sshAccess": s.sshAccess,
		"startSession": s.startSession, "listSessions": s.listSessions, "summarizeSessions": s.summarizeSessions, "getSession": s.getSession,
		"removeSession": s.removeSession, "waitSession": s.waitSession, "pruneSessions": s.pruneSessions,
		"sendSession": s.sendSession, "matchSession": s.matchSession,
		"stopSession": s.stopSession, "killSession": s.killSession, "signalSession": s.signalSession,
		"listImages": s.listImages, "getImage": s.getImage, "deleteImage": s.deleteImage,
		"doctor": s.doctor, "info": s.info, "shutdown": s.shutdown, "openapi": s.openAPI,
		"listTrash": s.listTrash, "emptyTrash": s.emptyTrash,
	}
}

func (s *server) streams() map[string]streamCall {
	return map[string]streamCall{
		"readLogs": s.readLogs, "searchSessions": s.searchSessions, "buildImage": s.buildImage, "watchEvents": s.watchEvents,
		"addRemote": s.addRemote, "unlockRemote": s.unlockRemote,
	}
}

func (s *server) upgrades() map[string]upgradeCall {
	return map[string]upgradeCall{"attachSession": s.attachSession, "attachWebSocket": s.attachWebSocket}
}

func (s *server) answerCall(route api.Route, serve call) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		request, err := s.newRequest(w, r, route)
		if err != nil {
			writeError(w, r, err)
			return
		}
		result, err := serve(request)
		if err != nil {
			writeError(w, r, err)
			return
		}
		writeResult(w, route.Status, result)
	}
}

func (s *server) answerStream(route api.Route, serve streamCall) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		request, err := s.newRequest(w, r, route)
		if err != nil {
			writeError(w, r, err)
			return
		}
		out := newStream(r.Context(), w)
		defer out.close()
		if err := serve(request, out); err != nil {
			out.fail(r, err)
		}
	}
}

// newRequest checks what all routes have in common.
func (s *server) newRequest(w http.ResponseWriter, r *http.Request, route api.Route) (*request, error) {
	if !route.AnyVersion {
		if err := api.CheckVersions(r.Header.Get(api.HeaderVersion), s.version); err != nil {
			return nil, err
		}
	}
	query, err := parseQuery(r, route.Query)
	if err != nil {
		return nil, err
	}
	if route.Bytes {
		// Else net/http would read much of a body before it sends an error; one that
		// somebody is typing may not end. Only HTTP/2 cannot do it, and needs not.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	return &request{Request: r, query: query, body: http.MaxBytesReader(w, r.Body, api.MaxBodyBytes)}, nil
}
