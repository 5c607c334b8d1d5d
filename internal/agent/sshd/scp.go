package sshd

import (
	"os"
	"strings"

	"banger/internal/agent/scp"
)

// scpProgram is what serves the far end of scp -O, if a command asks for that. The user's
// shell interprets the names of files, as for any command; the program is the agent, not one
// of the image.
func (s *session) scpProgram(command string) (p program, ok bool) {
	argv := s.conn.server.config.SCP
	arguments, isSCP := strings.CutPrefix(command, "scp ")
	words := strings.Fields(arguments)
	flags := 0
	for flags < len(words) && strings.HasPrefix(words[flags], "-") && words[flags] != "--" {
		flags++
	}
	if _, isFarEnd := scp.Parse(append(words[:flags:flags], ".")); !isSCP || !isFarEnd || len(argv) == 0 {
		return program{}, false
	}
	if _, err := os.Stat(s.user.Shell); err != nil { // an image of one program
		return program{path: argv[0], argv: append(argv[:len(argv):len(argv)], words...)}, true
	}
	var line strings.Builder
	line.WriteString("exec")
	for _, word := range argv {
		line.WriteString(" '" + strings.ReplaceAll(word, "'", `'\''`) + "'")
	}
	return s.shell("-c", line.String()+" "+arguments), true
}
