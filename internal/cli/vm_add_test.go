package cli

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"banger"
)

// startOnTerminal runs a command line whose standard streams are all one terminal.
func (f *fake) startOnTerminal(t *testing.T, args ...string) *command {
	t.Helper()
	master, slave := openTerminal(t, 24, 80)
	c := showing(t, master, slave)
	ctx, cancel := context.WithCancel(t.Context())
	c.cancel, c.status = cancel, make(chan int, 1)
	program := CLI{Version: "v1", Backend: f, Stdin: slave, Stdout: slave, Stderr: slave}
	go func() { c.status <- program.Run(ctx, args) }()
	t.Cleanup(cancel)
	return c
}

// showing is a command of which stdout is what its terminal shows.
func showing(t *testing.T, master, slave *os.File) *command {
	t.Helper()
	c := &command{t: t, stdin: master, stdout: &buffer{}, stderr: &buffer{}}
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(c.stdout, master) })
	t.Cleanup(func() { slave.Close(); master.Close(); reading.Wait() })
	return c
}

// say types an answer to what the terminal shows.
func (c *command) say(question, answer string) {
	c.t.Helper()
	c.until(question)
	if _, err := io.WriteString(c.stdin, answer); err != nil {
		c.t.Fatal(err)
	}
}

const (
	askedKey        = "ssh-ed25519 SHA256:x\r\nAccept it? (yes or no) "
	askedPassphrase = "Passphrase of /k: "
)

func TestVMAdd_SaysItsStepsAndNothingThatATerminalObeys(t *testing.T) {
	r := (&fake{}).run(t, "", "vm", "add", "lab", "--ssh", "lab")
	if r.status != 0 || !strings.Contains(r.stderr, "s  connecting to ^[[2Jlab\n") {
		t.Errorf("exit status %d, stderr %q", r.status, r.stderr)
	}
}

func TestVMAdd_SendsWhatWasGivenAndPrintsTheName(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "/run/agent")
	f := &fake{}
	if out := f.must(t, "vm", "add", "lab", "--ssh", "me@example.org:2222", "--identity", "key"); out != "lab\n" {
		t.Errorf("stdout %q", out)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	want := []banger.RemoteRequest{{
		Name: "lab", SSH: "me@example.org:2222", IdentityFile: filepath.Join(dir, "key"),
		Answers: banger.RemoteAnswers{Passphrases: map[string]string{}, AgentSocket: "/run/agent"},
	}}
	if diff := cmp.Diff(want, f.remotes); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestVMUnlock_SendsTheAgentAsItIsNow(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for socket, want := range map[string]string{"/run/agent": "/run/agent", "": "", "agent": filepath.Join(dir, "agent")} {
		t.Setenv("SSH_AUTH_SOCK", socket)
		f := &fake{}
		if out := f.must(t, "vm", "unlock", "lab"); out != "lab\n" || f.remotes[0].Answers.AgentSocket != want {
			t.Errorf("%q: stdout %q, sent %+v", socket, out, f.remotes)
		}
	}
}

func TestVMAdd_AsksOnATerminalUntilAllIsAnswered(t *testing.T) {
	for _, line := range []string{"vm add lab --ssh example.org", "vm unlock lab"} {
		f := &fake{asks: true}
		c := f.startOnTerminal(t, strings.Fields(line)...)
		before := termios(t, c.stdin)
		c.say(askedKey, " yes\n")
		c.say(askedPassphrase, "wrong\n")
		c.say("Wrong passphrase.\r\n"+askedPassphrase, " op en \n")
		if status := c.wait(); status != 0 {
			t.Errorf("%s: exit status %d, terminal %q", line, status, c.stdout)
		}
		c.until("lab\r\n")
		want := banger.RemoteAnswers{HostKeys: []string{"SHA256:x"}, Passphrases: map[string]string{"/k": " op en "}, AgentSocket: os.Getenv("SSH_AUTH_SOCK")}
		if diff := cmp.Diff(want, f.remotes[len(f.remotes)-1].Answers); diff != "" || len(f.remotes) != 4 {
			t.Errorf("%s: %d requests; the last (-want +got):\n%s", line, len(f.remotes), diff)
		}
		if shown := c.stdout.String(); strings.Contains(shown, "wrong") || strings.Contains(shown, "op en") {
			t.Errorf("%s: the terminal shows a passphrase: %q", line, shown)
		}
		if after := termios(t, c.stdin); after != before {
			t.Errorf("%s: the terminal is %+v, and was %+v", line, after, before)
		}
	}
}

func TestVMAdd_AnAnswerThatIsNoYesIsTheErrorOfTheQuestion(t *testing.T) {
	const endOfInput = "\x04"
	const refused = "banger: the host key is not known\r\nhint: log in once with ssh\r\n"
	for _, answer := range []string{"no\n", "y\n", "\n", endOfInput} {
		f := &fake{asks: true}
		c := f.startOnTerminal(t, "vm", "add", "lab", "--ssh", "example.org")
		c.say(askedKey, answer)
		c.until(refused)
		if status := c.wait(); status != 125 || len(f.remotes) != 1 {
			t.Errorf("%q: exit status %d, %d requests", answer, status, len(f.remotes))
		}
	}
	for _, answer := range []string{"\n", endOfInput} {
		f := &fake{asks: true}
		c := f.startOnTerminal(t, "vm", "add", "lab", "--ssh", "example.org")
		before := termios(t, c.stdin)
		c.say(askedKey, "yes\n")
		c.say(askedPassphrase, answer)
		c.until("banger: a passphrase is needed\r\n")
		if status := c.wait(); status != 125 || len(f.remotes) != 2 {
			t.Errorf("passphrase %q: exit status %d, %d requests", answer, status, len(f.remotes))
		}
		if after := termios(t, c.stdin); after != before {
			t.Errorf("passphrase %q: the terminal is %+v, and was %+v", answer, after, before)
		}
	}
}

func TestVMAdd_NobodyIsAskedWithoutATerminal(t *testing.T) {
	for _, line := range []string{"vm add lab --ssh example.org", "vm unlock lab"} {
		f := &fake{asks: true}
		r := f.run(t, "yes\nopen\n", strings.Fields(line)...)
		want := result{125, "", "banger: the host key is not known\nhint: log in once with ssh\n"}
		if r != want || len(f.remotes) != 1 {
			t.Errorf("%s: got %+v after %d requests, want %+v", line, r, len(f.remotes), want)
		}
	}
}

// The keys are pressed for real: ^C is a signal because the terminal makes it one.
func TestVMAdd_AnInterruptGivesTheTerminalBack(t *testing.T) {
	for question, answers := range map[string]string{askedKey: "", askedPassphrase: "yes\n"} {
		master, slave := openTerminal(t, 24, 80)
		before := termios(t, slave)
		c := showing(t, master, slave)
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, self, "vm", "add", "lab", "--ssh", "example.org")
		cmd.Env = append(os.Environ(), runAsCLI+"=1")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		c.say(askedKey, answers)
		if question == askedPassphrase {
			c.until(question)
			if termios(t, slave).Lflag&unix.ECHO != 0 {
				t.Error("the terminal shows what is typed")
			}
		}
		c.say(question, "\x03")
		_ = cmd.Wait() // the status is what it has
		if status := cmd.ProcessState.ExitCode(); status != 128+int(syscall.SIGINT) {
			t.Errorf("%q: exit status %d", question, status)
		}
		c.until("ended by signal: interrupt")
		if after := termios(t, slave); after != before {
			t.Errorf("%q: the terminal is %+v, and was %+v", question, after, before)
		}
	}
}

func TestVMAdd_QuestionsDoNotGoOnForEver(t *testing.T) {
	f := &fake{asks: true}
	c := f.startOnTerminal(t, "vm", "add", "lab", "--ssh", "example.org")
	c.say(askedKey, "yes\n")
	for tries := range maxQuestions - 1 {
		c.waitFor("another question", func() bool { return strings.Count(c.stdout.String(), askedPassphrase) > tries })
		c.say(askedPassphrase, "wrong\n")
	}
	c.until("too many questions")
	if status := c.wait(); status != 125 || len(f.remotes) != maxQuestions {
		t.Errorf("exit status %d after %d requests", status, len(f.remotes))
	}
}

func remoteVMs() []banger.VM {
	added := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return []banger.VM{
		{ID: "v1", Name: "lab", Driver: "remote", SSHTarget: "me@lab:2222", State: banger.VMRunning, BootID: "b1", CreatedAt: added, ReadyAt: added},
		{ID: "v2", Name: "away", Driver: "remote", SSHTarget: "away", State: banger.VMRunning, CreatedAt: added,
			UnreachableSince: added.Add(time.Hour), LastError: "no route\x1b[2J"},
	}
}

func TestVMList_ShowsWhetherARemoteHostAnswers(t *testing.T) {
	when := formatTime(remoteVMs()[0].CreatedAt)
	out := (&fake{vms: remoteVMs()}).must(t, "vm", "list")
	var got []string
	for line := range strings.Lines(out) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"NAME STATE IMAGE CPUS MEMORY CREATED ID",
		"lab running ssh:me@lab:2222 - - " + when + " v1",
		"away unreachable ssh:away - - " + when + " v2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestVMShow_TellsOfARemoteHostWhatThereIs(t *testing.T) {
	vms := remoteVMs()
	for _, c := range []struct {
		vm           banger.VM
		want, absent []string
	}{
		{vms[0], []string{"driver remote", "ssh me@lab:2222", "state running", "boot id b1"}, []string{"image", "cpus", "memory", "disk"}},
		{vms[1], []string{"state unreachable", "unreachable since " + formatTime(vms[1].UnreachableSince), "last error no route^[[2J"}, []string{"image"}},
	} {
		out := (&fake{vms: []banger.VM{c.vm}}).must(t, "vm", "show", c.vm.Name)
		flat := strings.Join(strings.Fields(out), " ")
		for _, want := range c.want {
			if !strings.Contains(flat, strings.ReplaceAll(want, ": ", " ")) {
				t.Errorf("%s: no %q in %q", c.vm.Name, want, flat)
			}
		}
		for _, absent := range c.absent {
			if strings.Contains(flat, absent) {
				t.Errorf("%s: %q in %q", c.vm.Name, absent, flat)
			}
		}
	}
}
