// Package workload has the commands of the sessions that test/fault looks at. They lie apart
// from the tests: the program that runs them, in the directory run, is small enough to be
// copied into an emulated guest, and has no race detector, which is for banger's programs.
package workload

import (
	"fmt"
	"os"
)

// Run runs the command with that name until it ends; some end the process, with an exit
// status of their own.
func Run(name string, args []string) error {
	switch {
	case name == "lines" && len(args) == 1:
		return printLines(args[0])
	case name == "scribbler" && len(args) == 2:
		return scribble(os.Stdin, args[0], args[1])
	case name == "gauge" && len(args) == 1:
		return gauge(os.Stdin, args[0])
	case name == "pace" && len(args) == 3:
		return pace(args[0], args[1], args[2])
	case name == "sip" && len(args) == 0:
		return sip()
	case name == "killer" && len(args) == 0:
		return killOnRequest(os.Stdin)
	}
	return fmt.Errorf("there is no command %q with %d arguments", name, len(args))
}
