package api

import (
	"net/http"
	"slices"
	"strings"

	"banger"
)

// Route is an operation of the API, whatever the types of its request and its answer. The
// server's handlers, the client's calls and openapi.json are made from the list of them.
type Route struct {
	ID      string // operationId of OpenAPI
	Method  string
	Path    string // {vm}, {session}, {image} and {kernel} are refs; any byte may be percent-escaped
	Summary string
	// Description is what else a client has to know; empty if there is nothing.
	Description string
	Query       []Param
	Body        any // zero value of the JSON body; nil if there is none
	Bytes       bool
	Result      any // zero value of the JSON answer, or of a line of the stream; nil if there is none
	Kind        Kind
	Upgrade     string // of KindUpgrade, as the header Upgrade has it
	Status      int    // of a success
	// Errors are codes that the route may answer with beside those that Codes derives.
	Errors []banger.Code

	// AnyVersion lets clients of every version use the route, so that an old
	// daemon can be asked what it is and be told to end.
	AnyVersion bool

	request *request
	serve   func(*http.Request, banger.Services) (any, error)
}

// Codes returns the codes of the errors that a route is known for, without repeats.
// Any other may come, too, such as one of the host.
func (r Route) Codes() []banger.Code {
	codes := []banger.Code{banger.CodeInvalid, banger.CodeUnavailable, banger.CodeInternal}
	if !r.AnyVersion {
		codes = append(codes, banger.CodeMismatch)
	}
	takes := func(name string) bool {
		return slices.ContainsFunc(r.Query, func(p Param) bool { return p.Name == name })
	}
	if strings.Contains(r.Path, "{") || takes("vm") {
		codes = append(codes, banger.CodeNotFound, banger.CodeAmbiguous)
	}
	if takes("timeout_ms") {
		codes = append(codes, banger.CodeTimeout)
	}
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(codes, r.Errors))))
}

// Kind is the form of an answer.
type Kind int

// The forms of answers.
const (
	KindJSON    Kind = iota // Result, or nothing if that is nil
	KindBytes               // raw bytes
	KindStream              // lines, each a Result
	KindUpgrade             // none: the connection becomes one of the protocol Upgrade
)

// Routes returns all operations, in the order of the description.
func Routes() []Route {
	return slices.Concat(vmRoutes(), sessionRoutes(), streamRoutes(), copyRoutes(), imageRoutes(), kernelRoutes(), hostRoutes())
}

// The refs of requests: each an id, a name or a unique prefix of either.
type (
	// VMRef is a request about a VM.
	VMRef struct {
		VM string `path:"vm"`
	}
	// SessionRef is a request about a session.
	SessionRef struct {
		VM      string `path:"vm"`
		Session string `path:"session"`
	}
	// ImageRef is a request about an image.
	ImageRef struct {
		Image string `path:"image"`
	}
)

// The forms of requests that have something to say beside that.
type (
	// Empty is a request that says nothing.
	Empty struct{}
	// Body is a request whose body is a B.
	Body[B any] struct {
		Body B `body:"json"`
	}
	// ImageBody is a request about an image whose body is a B.
	ImageBody[B any] struct {
		Image string `path:"image"`
		Body  B      `body:"json"`
	}
	// VMBody is a request about a VM whose body is a B.
	VMBody[B any] struct {
		VM   string `path:"vm"`
		Body B      `body:"json"`
	}
	// VMQuery is a request about a VM with the parameters of a P.
	VMQuery[P any] struct {
		VM      string `path:"vm"`
		Request P
	}
	// SessionQuery is a request about a session with the parameters of a P.
	SessionQuery[P any] struct {
		VM      string `path:"vm"`
		Session string `path:"session"`
		Request P
	}
)

const (
	vmPath      = "/v1/vms/{vm}"
	sessionPath = "/v1/vms/{vm}/sessions/{session}"
)

func codes(codes ...banger.Code) []banger.Code { return codes }

// list makes an empty list one in JSON too, where nil would be null.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
