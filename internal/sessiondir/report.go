package sessiondir

import (
	"strings"

	"banger"
)

// Bounds of the texts in a report. What is longer is whole in state.json.
const (
	maxReportText   = 8 << 10
	maxReportRawLog = 32 << 10
)

// Report returns what is reported of a state outside of the guest, whoever reads it: the
// daemon refuses reports with more than 64 KiB of text.
func Report(s banger.SessionState) banger.SessionState {
	s.LaunchMessage = clip(s.LaunchMessage, maxReportText)
	s.LaunchRawLog = clip(s.LaunchRawLog, maxReportRawLog)
	s.LastError = clip(s.LastError, maxReportText)
	return s
}

// clip shortens a text to its beginning.
func clip(s string, limit int) string {
	const cut = " […]"
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit-len(cut)], "") + cut
}
