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

Made from transition.go by ` + "`go generate ./...`" + `; do not edit. The store refuses every other step with the error
` + "`wrong_state`" + `. A record may always be written again in the state that it has.

## Sessions

`)
	table(&b, banger.Statuses(), records.SessionTransitions, map[banger.Status]string{
		banger.StatusStarting: "the guest has not yet said that the command runs",
		banger.StatusRunning:  "the command runs",
		banger.StatusStopping: "a stop or kill was asked for and the command has not ended",
		banger.StatusExited:   "the command ended with exit status 0",
		banger.StatusFailed:   "anything else: see `exit_code`, `exit_signal`, `ended_by`, `launch_stage`",
	})
	b.WriteString(`
Steps that were too short to be seen are skipped. One correction is allowed: an end that was concluded from the end of the
machine, because its disk could not be read (` + "`failed` by `vm_stopped` or `vm_lost`" + `), gives way to the end that the guest itself had recorded.

## VMs

`)
	table(&b, banger.VMStates(), records.VMTransitions, map[banger.VMState]string{
		banger.VMStopped:  "no machine runs",
		banger.VMStarting: "the machine is being started, or its guest is booting",
		banger.VMRunning:  "the guest answered",
		banger.VMPaused:   "the machine stands still, and nothing of it is lost: see `last_error`; one for which the host's disk was full continues by itself",
		banger.VMStopping: "the guest is shutting down",
		banger.VMFailed:   "a start failed, or the machine ended unasked: see `last_error`",
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
			follow = []string{"nothing else"}
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", s, meaning[s], strings.Join(follow, ", "))
	}
}
