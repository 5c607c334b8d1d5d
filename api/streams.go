package api

import (
	"net/http"

	"banger"
)

// MatchSessionRequest is the request of MatchSession.
type MatchSessionRequest struct {
	VM      string `path:"vm"`
	Session string `path:"session"`
	Request banger.MatchRequest
	Patience
}

// The operations on what goes into and comes out of sessions. Those that take over the
// connection, or answer line by line, have handlers of their own in httpapi.
var (
	AttachSession = upgrade[SessionRef](Route{
		ID: "attachSession", Method: http.MethodPost, Path: sessionPath + "/attach", Summary: "Upgrade this connection to a session's streams.",
		Description: "The request has the headers `Connection: Upgrade` and `Upgrade: banger-sessionstream`, and no body. After the answer both sides speak sessionstream (docs/PROTOCOL.md). " +
			"A client need not wait for the answer: what it sends after the request belongs to the stream.",
		Upgrade: "banger-sessionstream",
	})

	ExecSession = upgrade[VMBody[banger.SessionRequest]](Route{
		ID: "execSession", Method: http.MethodPost, Path: "/v1/vms/{vm}/exec", Summary: "Start a session and upgrade this connection to its streams.",
		Description: "The request has the headers `Connection: Upgrade` and `Upgrade: banger-sessionstream`, and the body of startSession. The answer comes when the session is recorded, before its command runs; then both sides speak sessionstream (docs/PROTOCOL.md). " +
			"A client need not wait for the answer: what it sends after the body belongs to the stream. A failed launch is an `exit` in the stream.",
		Upgrade: "banger-sessionstream", Errors: codes(banger.CodeState, banger.CodeExists),
	})

	AttachWebSocket = upgrade[SessionRef](Route{
		ID: "attachWebSocket", Method: http.MethodGet, Path: sessionPath + "/attach", Summary: "Upgrade this connection to a WebSocket with a session's streams.",
		Description: "A WebSocket (RFC 6455) of the subprotocol `banger-sessionstream`: its binary messages, concatenated, are the bytes that the POST of this path has on the connection itself (docs/PROTOCOL.md). " +
			"A page whose origin has another host than the request is refused with status 403.",
		Upgrade: "websocket",
	})

	SendSession = special[SessionQuery[banger.SendRequest], banger.SendResult](Route{
		ID: "sendSession", Method: http.MethodPost, Path: sessionPath + "/stdin", Summary: "Write the bytes of the body to a session's stdin, unchanged.",
		Errors: codes(banger.CodeState, banger.CodeInUse, banger.CodeStaleEpoch),
	})

	ReadLogs = stream[SessionQuery[banger.LogRequest], LogLine](Route{
		ID: "readLogs", Method: http.MethodGet, Path: sessionPath + "/logs", Summary: "Read a session's output.",
		Errors: codes(banger.CodeGone, banger.CodeStaleEpoch),
	})

	MatchSession = special[MatchSessionRequest, banger.Match](Route{
		ID: "matchSession", Method: http.MethodGet, Path: sessionPath + "/match", Summary: "Find the first match in a session's output, past or future.",
		Errors: codes(banger.CodeState, banger.CodeStaleEpoch),
	})

	SearchSessions = stream[banger.SearchRequest, SearchLine](Route{
		ID: "searchSessions", Method: http.MethodGet, Path: "/v1/search", Summary: "Find the lines that match in the output of sessions, in running and stopped VMs.",
	})
)

func streamRoutes() []Route {
	return []Route{ExecSession.Route, AttachSession.Route, AttachWebSocket.Route, SendSession.Route, ReadLogs.Route, MatchSession.Route, SearchSessions.Route}
}
