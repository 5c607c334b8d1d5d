package main

import (
	"bytes"
	"fmt"
	"strings"

	"banger"
	"banger/internal/records"
)

// states is docs/STATES.md.
func states() []byte {
	var b bytes.Buffer
	b.WriteString(`# States

Generated from transition.go by ` + "`go generate ./...`" + `; do not edit. The store refuses every other transition with the
error ` + "`wrong_state`" + `. A record may always be rewritten in its current state.

## Sessions

`)
	table(&b, banger.Statuses(), records.SessionTransitions, map[banger.Status]string{
		banger.StatusStarting: "the guest has not yet reported that the command runs",
		banger.StatusRunning:  "the command runs",
		banger.StatusStopping: "a stop or kill was requested and the command has not ended",
		banger.StatusExited:   "the command ended with exit status 0",
		banger.StatusFailed:   "anything else: see `exit_code`, `exit_signal`, `ended_by`, `launch_stage`",
	})
	b.WriteString(`
States that were too brief to be observed are skipped. One correction is allowed: an end that was presumed from the end of the
machine, because its disk could not be read (` + "`failed` by `vm_stopped` or `vm_lost`" + `), is replaced by the end that the guest recorded.

## VMs

`)
	table(&b, banger.VMStates(), records.VMTransitions, map[banger.VMState]string{
		banger.VMStopped:  "not running",
		banger.VMStarting: "the machine is being started, or its guest is booting",
		banger.VMRunning:  "the guest responded",
		banger.VMPaused:   "the machine is paused and nothing in it is lost: see `last_error`; one that was paused because the host's disk was full continues by itself",
		banger.VMStopping: "the guest is shutting down",
		banger.VMFailed:   "a start failed, or the machine ended unexpectedly: see `last_error`",
	})
	return b.Bytes()
}

// table writes one row for each state: its meaning and what may follow it.
func table[S ~string](b *bytes.Buffer, all []S, next func(S) []S, meaning map[S]string) {
	b.WriteString("| state | meaning | may become |\n| --- | --- | --- |\n")
	for _, s := range all {
		var follow []string
		for _, n := range next(s) {
			follow = append(follow, "`"+string(n)+"`")
		}
		if len(follow) == 0 {
			follow = []string{"none (final)"}
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", s, meaning[s], strings.Join(follow, ", "))
	}
}
