package pid1

import (
	"slices"
	"strings"
)

// powerOffParameter on the kernel's command line has the machine power off as
// soon as the agent runs: the floor that boots are measured against.
const powerOffParameter = "banger.init=poweroff"

// hasParameter reports whether a kernel command line has that parameter. Those
// after "--" are for init, bootparam(7).
func hasParameter(cmdline, parameter string) bool {
	fields := strings.Fields(cmdline)
	if end := slices.Index(fields, "--"); end >= 0 {
		fields = fields[:end]
	}
	return slices.Contains(fields, parameter)
}
