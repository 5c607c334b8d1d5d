//go:build !unit

package session_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"banger"
)

func TestSearch_FindsLinesInRunningAndInStoppedVMs(t *testing.T) {
	h := newHost(t)
	other := h.StartVM("other")
	tagged := shell("tagged", "seq 3000; echo out needle >&2; exit 1")
	tagged.Tags = map[string]string{"k": "v"}
	startIn(t, h, vmName, tagged)
	startIn(t, h, vmName, shell("plain", "echo needle; echo hay; printf 'a needle'"))
	startIn(t, h, vmName, banger.SessionRequest{Name: "never", Launch: banger.Launch{Command: "/nowhere/needle", StdinMode: banger.StdinClosed}})
	terminal := shell("terminal", "echo needle of a terminal")
	terminal.TTY = true
	startIn(t, h, "other", terminal)
	startIn(t, h, "other", shell("long", "seq 200000 | sed s/^150000$/needle/"))
	h.PowerOff(other.ID)

	all := []string{
		"other/long stdout 938888 needle", "other/terminal stdout 0 needle of a terminal\r",
		"vm/plain stdout 0 needle", "vm/plain stdout 11 a needle", "vm/tagged stderr 0 out needle",
	}
	for name, c := range map[string]struct {
		r    banger.SearchRequest
		want []string
	}{
		"all":        {banger.SearchRequest{}, all},
		"a VM":       {banger.SearchRequest{VMs: []string{"other", "oth"}}, all[:2]},
		"two VMs":    {banger.SearchRequest{VMs: []string{"vm", "other"}}, all},
		"a stream":   {banger.SearchRequest{Stream: banger.StreamStderr}, all[4:]},
		"a tag":      {banger.SearchRequest{Tags: map[string]string{"k": "v"}}, all[4:]},
		"a status":   {banger.SearchRequest{Status: banger.StatusFailed}, all[4:]},
		"in future":  {banger.SearchRequest{Since: time.Now().Add(time.Hour)}, nil},
		"in history": {banger.SearchRequest{Until: time.Unix(1, 0)}, nil},
	} {
		c.r.Pattern = "needle"
		if got, end := search(t, h, c.r); !slices.Equal(got, c.want) || end.Lines != len(c.want) || end.Failures != 0 {
			t.Errorf("%s: %q, %+v", name, got, end)
		}
	}
	// Every offset is where the line can be read.
	for _, at := range all {
		var vm, stream string
		var offset int64
		if _, err := fmt.Sscan(at, &vm, &stream, &offset); err != nil {
			t.Fatal(err)
		}
		name, session, _ := strings.Cut(vm, "/")
		var text strings.Builder
		_, err := h.Streams.ReadLogs(t.Context(), name, session, banger.LogRequest{Stream: banger.Stream(stream), From: &offset}, func(c banger.LogChunk) error {
			text.Write(c.Data)
			return nil
		})
		if line := strings.SplitN(at, " ", 4)[3]; err != nil || !strings.HasPrefix(text.String(), line) {
			t.Errorf("%s: %.20q, %v", at, text.String(), err)
		}
	}
}
