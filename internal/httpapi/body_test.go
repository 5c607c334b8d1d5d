//go:build !unit

package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"banger"
	"banger/api"
)

func TestAPI_RefusesABodyThatIsTooLarge(t *testing.T) {
	r := newRig(t)
	status, answer := r.do("POST", "/v1/vms", `{"name":"`+strings.Repeat("a", api.MaxBodyBytes)+`"}`)
	r.wantError(status, answer, http.StatusBadRequest, banger.CodeInvalid, "more than")
	if calls := r.fake.Calls(); len(calls) != 0 {
		t.Errorf("services were called: %q", calls)
	}
}
