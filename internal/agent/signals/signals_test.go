package signals_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"banger/internal/agent/signals"
)

// resets marks the run of this binary that is a program which resets its signals, starts
// cat, and ends with status 3.
const resets = "BANGER_TEST_RESETS_SIGNALS"

func TestMain(m *testing.M) {
	if os.Getenv(resets) == "" {
		os.Exit(m.Run())
	}
	if err := signals.Reset(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(os.Args[1:])
	cat := exec.Command("cat", "/proc/self/status", "-")
	cat.Stdin, cat.Stdout, cat.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cat.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(3)
}

// What a program starts has signals as by default, and the program is the one that was
// started: its arguments, its files, its exit.
func TestReset_NothingIsIgnoredOrBlocked(t *testing.T) {
	for _, inherited := range [][]string{
		{},
		{"--ignore-signal=HUP"},
		{"--ignore-signal"}, // all
		{"--block-signal=USR1"},
		{"--ignore-signal=INT,TSTP,TTIN,TTOU,RTMIN,RTMAX", "--block-signal"},
	} {
		t.Run(fmt.Sprint(inherited), func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("env", append(inherited, self, "an argument")...)
			cmd.Env = append(os.Environ(), resets+"=1")
			cmd.Stdin, cmd.Stderr = strings.NewReader("the end"), t.Output()
			out, err := cmd.Output()
			text := string(out)
			if cmd.ProcessState.ExitCode() != 3 || !strings.HasPrefix(text, "[an argument]\n") || !strings.HasSuffix(text, "the end") {
				t.Errorf("the program ended with %v and printed %q", err, text)
			}
			for _, set := range []string{"SigIgn", "SigBlk"} {
				if !strings.Contains(text, "\n"+set+":\t0000000000000000\n") {
					_, is, _ := strings.Cut(text, "\n"+set+":")
					t.Errorf("%s of what it started is %.17s", set, is)
				}
			}
		})
	}
}
