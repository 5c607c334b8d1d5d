package api

import (
	"net/http"
	"slices"
	"strings"

	"banger"
)

// Route is one operation of the API. The server's handlers and openapi.json are
// both made from the list of them.
type Route struct {
	ID      string // operationId of OpenAPI
	Method  string
	Path    string // {vm}, {session} and {image} are refs; any byte may be percent-escaped
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

// Param is a parameter of the query string.
type Param struct {
	Name     string
	Type     ParamType
	Doc      string
	Repeated bool // may be given more than once
	Required bool
	Values   any // zero value of a string type whose constants are what can be given; nil for any text
}

// ParamType is the form of a parameter.
type ParamType string

// The forms of parameters.
const (
	ParamText         ParamType = "text"
	ParamBool         ParamType = "bool"         // true or false
	ParamInt          ParamType = "int"          // 64 bits
	ParamMilliseconds ParamType = "milliseconds" // an integer that is not negative
	ParamTime         ParamType = "time"         // RFC 3339
)

// Routes returns all operations, in the order of the description.
func Routes() []Route {
	var all []Route
	for _, group := range [][]Route{vmRoutes(), sessionRoutes(), controlRoutes(), imageRoutes(), hostRoutes()} {
		all = append(all, group...)
	}
	return all
}

func vmRoutes() []Route {
	return []Route{
		{ID: "createVM", Method: http.MethodPost, Path: "/v1/vms", Summary: "Create a VM.",
			Body: banger.VMRequest{}, Result: banger.VM{}, Status: http.StatusCreated, Errors: []banger.Code{banger.CodeNotFound, banger.CodeAmbiguous, banger.CodeExists, banger.CodeMissing}},
		{ID: "addRemote", Method: http.MethodPost, Path: "/v1/remotes", Summary: "Add a host that SSH reaches as a VM.",
			Body: banger.RemoteRequest{}, Kind: KindStream, Result: RemoteLine{}, Status: http.StatusOK, Errors: []banger.Code{banger.CodeExists, banger.CodeQuestion, banger.CodeMissing}},
		{ID: "unlockRemote", Method: http.MethodPost, Path: "/v1/vms/{vm}/unlock", Summary: "Log in to a remote host with answers that only its user has.",
			Body: banger.RemoteAnswers{}, Kind: KindStream, Result: RemoteLine{}, Status: http.StatusOK, Errors: []banger.Code{banger.CodeState, banger.CodeQuestion, banger.CodeMissing}},
		{ID: "listVMs", Method: http.MethodGet, Path: "/v1/vms", Summary: "List the VMs, oldest first.",
			Result: VMList{}, Status: http.StatusOK},
		{ID: "getVM", Method: http.MethodGet, Path: "/v1/vms/{vm}", Summary: "Show a VM.",
			Result: banger.VM{}, Status: http.StatusOK},
		{ID: "deleteVM", Method: http.MethodDelete, Path: "/v1/vms/{vm}", Summary: "Delete a VM, its disks and its sessions.",
			Query: []Param{{Name: "force", Type: ParamBool, Doc: "kill it first if it runs"}}, Status: http.StatusNoContent, Errors: []banger.Code{banger.CodeState}},
		{ID: "setVM", Method: http.MethodPatch, Path: "/v1/vms/{vm}", Summary: "Change settings of a VM; settings that the body omits stay as they are.",
			Body: banger.VMUpdate{}, Result: banger.VM{}, Status: http.StatusOK, Errors: []banger.Code{banger.CodeState}},
		{ID: "startVM", Method: http.MethodPost, Path: "/v1/vms/{vm}/start", Summary: "Start a VM; answers when its guest responds.",
			Result: banger.VM{}, Status: http.StatusOK, Errors: []banger.Code{banger.CodeState, banger.CodeMissing, banger.CodeCorrupt}},
		{ID: "stopVM", Method: http.MethodPost, Path: "/v1/vms/{vm}/stop", Summary: "Shut down a VM; answers when nothing of its machine is left.",
			Query: []Param{
				{Name: "grace_ms", Type: ParamMilliseconds, Doc: "grace period: milliseconds until the machine is killed, at least 1; default 30000"},
				{Name: "kill", Type: ParamBool, Doc: "kill the machine at once; not together with grace_ms"},
			},
			Result: banger.VM{}, Status: http.StatusOK, Errors: []banger.Code{banger.CodeState}},
		{ID: "consoleLog", Method: http.MethodGet, Path: "/v1/vms/{vm}/console-log", Summary: "Read the end of what the guest's kernel and init printed.",
			Query: []Param{{Name: "max_bytes", Type: ParamInt, Doc: "default 1048576"}}, Kind: KindBytes, Status: http.StatusOK, Errors: []banger.Code{banger.CodeState}},
		{ID: "sshAccess", Method: http.MethodGet, Path: "/v1/vms/{vm}/ssh", Summary: "Show how an OpenSSH client on this host logs in to the guest.",
			Result: banger.SSHAccess{}, Status: http.StatusOK, Errors: []banger.Code{banger.CodeState}},
	}
}

func pageParams() []Param {
	return []Param{
		{Name: "limit", Type: ParamInt, Doc: "maximum number of sessions in the page, 1000 at most and by default; sessions with large launches come in smaller pages"},
		{Name: "after", Type: ParamText, Doc: "next of the previous page; default: begin with the first session"},
	}
}

const sessionPath = "/v1/vms/{vm}/sessions/{session}"

func sessionRoutes() []Route {
	return []Route{
		{ID: "startSession", Method: http.MethodPost, Path: "/v1/vms/{vm}/sessions", Summary: "Start a session; a failed launch is a session, too.",
			Body: banger.SessionRequest{}, Result: banger.Session{}, Status: http.StatusCreated, Errors: []banger.Code{banger.CodeState, banger.CodeExists}},
		{ID: "listSessions", Method: http.MethodGet, Path: "/v1/sessions", Summary: "List a page of the sessions, oldest first.",
			Query: append(filterParams(), pageParams()...), Result: SessionList{}, Status: http.StatusOK},
		{ID: "summarizeSessions", Method: http.MethodGet, Path: "/v1/sessions/summaries", Summary: "List a page of summaries of the sessions, oldest first.",
			Query: append(filterParams(), pageParams()...), Result: SummaryList{}, Status: http.StatusOK},
		{ID: "getSession", Method: http.MethodGet, Path: sessionPath, Summary: "Show a session.",
			Query:  []Param{{Name: "live", Type: ParamBool, Doc: "with the current counters, if the guest is reachable"}},
			Result: banger.Session{}, Status: http.StatusOK},
		{ID: "removeSession", Method: http.MethodDelete, Path: sessionPath, Summary: "Remove a session and its logs.",
			Query: []Param{{Name: "force", Type: ParamBool, Doc: "kill it first if it has not ended"}}, Status: http.StatusNoContent, Errors: []banger.Code{banger.CodeState}},
		{ID: "waitSession", Method: http.MethodGet, Path: sessionPath + "/wait", Summary: "Answer when a session has ended.",
			Query:  []Param{{Name: "timeout_ms", Type: ParamMilliseconds, Doc: "fail after this time, with the error timeout"}},
			Result: banger.Session{}, Status: http.StatusOK, Errors: []banger.Code{banger.CodeGone}},
		{ID: "pruneSessions", Method: http.MethodPost, Path: "/v1/sessions/prune", Summary: "Remove the ended sessions of each VM that meet any of the criteria; at least one criterion is required.",
			Query: []Param{
				{Name: "vm", Type: ParamText, Doc: "only those of this VM"},
				{Name: "tag", Type: ParamText, Doc: "KEY=VALUE; only those with all the tags given", Repeated: true},
				{Name: "older_than_ms", Type: ParamMilliseconds, Doc: "criterion: it ended at least this long ago"},
				{Name: "keep", Type: ParamInt, Doc: "criterion: it is not among this number of sessions that ended last"},
				{Name: "max_bytes", Type: ParamInt, Doc: "criterion: its logs and those of all sessions that ended later exceed this number of bytes"},
				{Name: "dry_run", Type: ParamBool, Doc: "only report what would be removed"},
			},
			Result: banger.PruneResult{}, Status: http.StatusOK},
	}
}

// filterParams are those of banger.SessionFilter.
func filterParams() []Param {
	return []Param{
		{Name: "vm", Type: ParamText, Doc: "only those of this VM"},
		{Name: "status", Type: ParamText, Values: banger.Status(""), Doc: "only those with this status"},
		{Name: "tag", Type: ParamText, Doc: "KEY=VALUE; only those with all the tags given", Repeated: true},
	}
}

func controlRoutes() []Route {
	return []Route{
		{ID: "attachSession", Method: http.MethodPost, Path: sessionPath + "/attach", Summary: "Upgrade this connection to a session's streams.",
			Description: "The request has the headers `Connection: Upgrade` and `Upgrade: banger-sessionstream`, and no body. After the answer both sides speak sessionstream (docs/PROTOCOL.md). " +
				"A client need not wait for the answer: what it sends after the request belongs to the stream.",
			Kind: KindUpgrade, Upgrade: "banger-sessionstream", Status: http.StatusSwitchingProtocols},
		{ID: "attachWebSocket", Method: http.MethodGet, Path: sessionPath + "/attach", Summary: "Upgrade this connection to a WebSocket with a session's streams.",
			Description: "A WebSocket (RFC 6455) of the subprotocol `banger-sessionstream`: its binary messages, concatenated, are the bytes that the POST of this path has on the connection itself (docs/PROTOCOL.md). " +
				"A page whose origin has another host than the request is refused with status 403.",
			Kind: KindUpgrade, Upgrade: "websocket", Status: http.StatusSwitchingProtocols},
		{ID: "sendSession", Method: http.MethodPost, Path: sessionPath + "/stdin", Summary: "Write the bytes of the body to a session's stdin, unchanged.",
			Query: []Param{
				{Name: "offset", Type: ParamInt, Doc: "position of the body's first byte in stdin; bytes that were accepted before are dropped"},
				{Name: "eof", Type: ParamBool, Doc: "close stdin after the body"},
				{Name: "raw_line", Type: ParamBool, Doc: "write and count bytes that a terminal in line mode drops, after the 4095 bytes of a line that it holds, instead of refusing them"},
			},
			Bytes: true, Result: banger.SendResult{}, Status: http.StatusOK, Errors: []banger.Code{banger.CodeState, banger.CodeInUse}},
		{ID: "stopSession", Method: http.MethodPost, Path: sessionPath + "/stop", Summary: "End a session with SIGTERM; answers when it has ended.",
			Query: []Param{
				{Name: "grace_ms", Type: ParamMilliseconds, Doc: "grace period: milliseconds until every process is killed, at least 1; default 10000"},
				{Name: "kill", Type: ParamBool, Doc: "kill every process at once; not together with grace_ms"},
				{Name: "by", Type: ParamText, Doc: "the requester, for the record"},
			},
			Result: banger.Session{}, Status: http.StatusOK, Errors: []banger.Code{banger.CodeState}},
		{ID: "killSession", Method: http.MethodPost, Path: sessionPath + "/kill", Summary: "Kill every process of a session; answers when it has ended.",
			Query:  []Param{{Name: "by", Type: ParamText, Doc: "the requester, for the record"}},
			Result: banger.Session{}, Status: http.StatusOK, Errors: []banger.Code{banger.CodeState}},
		{ID: "signalSession", Method: http.MethodPost, Path: sessionPath + "/signal", Summary: "Send a signal to a session, once.",
			Query: []Param{
				{Name: "signal", Type: ParamText, Required: true, Doc: "a name such as SIGHUP or hup, or a number"},
				{Name: "all", Type: ParamBool, Doc: "to every process of the session, not only to the command"},
			},
			Status: http.StatusNoContent, Errors: []banger.Code{banger.CodeState}},
		{ID: "readLogs", Method: http.MethodGet, Path: sessionPath + "/logs", Summary: "Read a session's output.",
			Query: []Param{
				{Name: "stream", Type: ParamText, Values: banger.Stream(""), Doc: "stdout, stderr or both, which is the default"},
				{Name: "lines", Type: ParamInt, Doc: "begin this number of lines before the end; negative: at the beginning; default 200"},
				{Name: "from", Type: ParamInt, Doc: "begin at this offset; only if stream is stdout or stderr"},
				{Name: "cursor", Type: ParamText, Doc: "STDOUT,STDERR: begin at these offsets of the two streams"},
				{Name: "follow", Type: ParamBool, Doc: "continue until the session has ended"},
				{Name: "limit_bytes", Type: ParamInt, Doc: "end after this number of bytes"},
				{Name: "since", Type: ParamTime, Doc: "begin with the first output at or after this time, or at the end"},
				{Name: "until", Type: ParamTime, Doc: "end before the first output after this time; with follow, also when this time has passed"},
				{Name: "grep", Type: ParamText, Doc: "regular expression (RE2): only lines that match, each as one piece"},
			},
			Kind: KindStream, Result: LogLine{}, Status: http.StatusOK, Errors: []banger.Code{banger.CodeGone}},
		{ID: "matchSession", Method: http.MethodGet, Path: sessionPath + "/match", Summary: "Find the first match in a session's output, past or future.",
			Query: []Param{
				{Name: "regex", Type: ParamText, Required: true, Doc: "regular expression (RE2), applied to each line"},
				{Name: "stream", Type: ParamText, Values: banger.Stream(""), Doc: "stdout, stderr or both, which is the default"},
				{Name: "cursor", Type: ParamText, Doc: "STDOUT,STDERR: begin at these offsets; default: at the session's beginning"},
				{Name: "timeout_ms", Type: ParamMilliseconds, Doc: "fail after this time, with the error timeout"},
			},
			Result: banger.Match{}, Status: http.StatusOK, Errors: []banger.Code{banger.CodeState}},
		{ID: "searchSessions", Method: http.MethodGet, Path: "/v1/search", Summary: "Find the lines that match in the output of sessions, in running and stopped VMs.",
			Query: []Param{
				{Name: "regex", Type: ParamText, Required: true, Doc: "regular expression (RE2), applied to each line"},
				{Name: "vm", Type: ParamText, Doc: "only sessions of this VM", Repeated: true},
				{Name: "status", Type: ParamText, Values: banger.Status(""), Doc: "only sessions with this status"},
				{Name: "tag", Type: ParamText, Doc: "KEY=VALUE; only sessions with all the tags given", Repeated: true},
				{Name: "stream", Type: ParamText, Values: banger.Stream(""), Doc: "stdout, stderr or both, which is the default"},
				{Name: "since", Type: ParamTime, Doc: "only output from this time on"},
				{Name: "until", Type: ParamTime, Doc: "only output before the first output after this time, for each session"},
				{Name: "limit", Type: ParamInt, Doc: "end after this number of lines"},
			},
			Kind: KindStream, Result: SearchLine{}, Status: http.StatusOK},
	}
}

func imageRoutes() []Route {
	return []Route{
		{ID: "buildImage", Method: http.MethodPost, Path: "/v1/images", Summary: "Build an image, unless one with the same recipe exists.",
			Body: ImageBuild{}, Kind: KindStream, Result: BuildLine{}, Status: http.StatusOK, Errors: []banger.Code{banger.CodeMissing}},
		{ID: "listImages", Method: http.MethodGet, Path: "/v1/images", Summary: "List the images, oldest first.",
			Result: ImageList{}, Status: http.StatusOK},
		{ID: "getImage", Method: http.MethodGet, Path: "/v1/images/{image}", Summary: "Show an image.",
			Result: banger.Image{}, Status: http.StatusOK},
		{ID: "deleteImage", Method: http.MethodDelete, Path: "/v1/images/{image}", Summary: "Delete an image that no VM uses.",
			Status: http.StatusNoContent, Errors: []banger.Code{banger.CodeInUse}},
	}
}

func hostRoutes() []Route {
	return []Route{
		{ID: "watchEvents", Method: http.MethodGet, Path: "/v1/events", Summary: "Stream every change of every record, in order, as it happens.",
			Query: []Param{{Name: "since", Type: ParamInt, Doc: "begin after this revision; negative: only new events, which is the default"}},
			Kind:  KindStream, Result: EventLine{}, Status: http.StatusOK, Errors: []banger.Code{banger.CodeGone}},
		{ID: "listTrash", Method: http.MethodGet, Path: "/v1/trash", Summary: "List the directories in the trash, which were found among those of VMs but are not VMs, oldest first.",
			Result: TrashList{}, Status: http.StatusOK},
		{ID: "emptyTrash", Method: http.MethodDelete, Path: "/v1/trash", Summary: "Delete everything in the trash that is not in use; answers with what was deleted.",
			Result: TrashList{}, Status: http.StatusOK},
		{ID: "doctor", Method: http.MethodGet, Path: "/v1/doctor", Summary: "Check everything that banger needs on the host.",
			Query:  []Param{{Name: "deep", Type: ParamBool, Doc: "also read every byte of every image, which takes a while"}},
			Result: CheckList{}, Status: http.StatusOK},
		{ID: "info", Method: http.MethodGet, Path: "/v1/info", Summary: "Show the daemon's version, paths and counters.",
			Result: banger.DaemonInfo{}, Status: http.StatusOK, AnyVersion: true},
		{ID: "shutdown", Method: http.MethodPost, Path: "/v1/shutdown", Summary: "End the daemon; VMs and sessions keep running.",
			Status: http.StatusAccepted, AnyVersion: true},
		{ID: "openapi", Method: http.MethodGet, Path: "/openapi.json", Summary: "Describe this API, in OpenAPI 3.1.",
			Result: map[string]any{}, Status: http.StatusOK, AnyVersion: true},
	}
}
