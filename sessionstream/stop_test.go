package sessionstream

import (
	"encoding/json"
	"testing"
	"time"

	"banger"
)

func TestStop_OnlyAGraceOfZeroThatIsGivenKills(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`{}`:             banger.DefaultStopGrace,
		`{"grace_ms":0}`: 0,
		`{"grace_ms":5}`: 5 * time.Millisecond,
	} {
		var stop Stop
		if err := json.Unmarshal([]byte(text), &stop); err != nil || stop.Grace() != want {
			t.Errorf("%s: got a grace of %s, %v", text, stop.Grace(), err)
		}
	}
}
