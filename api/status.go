package api

import (
	"net/http"

	"banger"
)

// StatusOf returns the HTTP status of an error. It is the only such table; docs/API.md
// has it with what a client does about each.
func StatusOf(code banger.Code) int {
	switch code {
	case banger.CodeInvalid, banger.CodeMismatch:
		return http.StatusBadRequest
	case banger.CodeNotFound:
		return http.StatusNotFound
	case banger.CodeAmbiguous, banger.CodeExists, banger.CodeInUse, banger.CodeState, banger.CodeQuestion, banger.CodeStaleEpoch:
		return http.StatusConflict
	case banger.CodeGone:
		return http.StatusGone
	case banger.CodeMissing:
		return http.StatusNotImplemented
	case banger.CodeUnavailable:
		return http.StatusServiceUnavailable
	case banger.CodeTimeout:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError // CodeCorrupt, CodeInternal
}
