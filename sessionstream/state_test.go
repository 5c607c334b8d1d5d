package sessionstream

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"banger"
)

func TestReader_TakesNoStateThatNoShimTells(t *testing.T) {
	step := `{"signal":"SIGTERM","cause":"stop"}`
	for name, c := range map[string]struct {
		state string
		ok    bool
	}{
		"an end":                 {`"status":"failed","exit_code":255`, true},
		"exit code 256":          {`"status":"failed","exit_code":256`, false},
		"a negative exit code":   {`"status":"failed","exit_code":-1`, false},
		"no status":              {`"exit_code":0`, false},
		"a status of its own":    {`"status":"dancing"`, false},
		"a negative offset":      {`"status":"exited","stdin_offset":-1`, false},
		"a long name":            {`"status":"failed","exit_signal":"` + strings.Repeat("x", 1000) + `"`, false},
		"many steps of a stop":   {`"status":"failed","stop_steps":[` + strings.Repeat(step+",", 100) + step + `]`, false},
		"one that has not ended": {`"status":"running"`, false},
	} {
		for _, control := range []string{`{"exit":{"state":{%s}}}`, `{"state":{"state":{%s}}}`, `{"attached":{"state":{%s}}}`} {
			text := fmt.Sprintf(control, c.state)
			var wire bytes.Buffer
			if err := NewWriter(&wire).writeFrame(ChannelControl, []byte(text)); err != nil {
				t.Fatal(err)
			}
			got, err := NewReader(&wire).ReadControl()
			ok := c.ok || name == "one that has not ended" && !strings.Contains(control, "exit") || name == "no status" && strings.Contains(control, "attached")
			if ok != (err == nil) {
				t.Errorf("%s: %s is taken for %+v, %v", name, text, got, err)
			}
		}
	}
}

var ended = banger.SessionState{Status: banger.StatusExited}
