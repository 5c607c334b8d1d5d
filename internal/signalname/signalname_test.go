package signalname_test

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"banger/internal/signalname"
)

func TestOf_AndParseAreTheReverseOfEachOther(t *testing.T) {
	for n := syscall.Signal(1); n <= 64; n++ {
		if got := signalname.Parse(signalname.Of(n)); got != n {
			t.Errorf("%d is named %s, which is %d", n, signalname.Of(n), got)
		}
	}
}

// bash lists all that have a name.
func TestOf_IsThatOfBash(t *testing.T) {
	out, err := exec.Command("bash", "-c", "kill -l").Output()
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(out))
	if len(words) < 2*60 {
		t.Fatalf("bash lists %q", out)
	}
	for i := 0; i+1 < len(words); i += 2 {
		n, err := strconv.Atoi(strings.TrimSuffix(words[i], ")"))
		if got := signalname.Of(syscall.Signal(n)); err != nil || got != words[i+1] {
			t.Errorf("%s %s is named %s", words[i], words[i+1], got)
		}
	}
}

func TestParse_TakesEverySumAndNothingElse(t *testing.T) {
	for name, want := range map[string]syscall.Signal{
		"SIGRTMIN": 34, "RTMIN+0": 34, "SIGRTMIN+30": 64, "SIGRTMAX-30": 34, "SIGRTMAX-0": 64, "RTMAX": 64,
		"SIG40": 40, "40": 40, "SIG32": 32, "9": 9, "SIGKILL": 9,
		"": 0, "0": 0, "65": 0, "SIG": 0, "SIG0": 0, "-1": 0, "SIG-9": 0, "+9": 0, "RTMIN-1": 0, "RTMIN+31": 0, "RTMAX+1": 0,
		"RTMIN3": 0, "RTMIN+": 0, "SIGRTMIN++1": 0, "9x": 0,
	} {
		if got := signalname.Parse(name); got != want {
			t.Errorf("%q is %d, not %d", name, got, want)
		}
	}
}
