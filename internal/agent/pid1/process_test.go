package pid1

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// asInit in the environment makes the test binary the init of a pid namespace.
const asInit = "BANGER_TEST_AS_INIT"

func TestMain(m *testing.M) {
	if os.Getenv(asInit) != "" {
		beInit()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const waitLimit = 30 * time.Second

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func TestSupervisor_RestartsItsServerAndLeavesTheServersChildrenAlone(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	pids := filepath.Join(t.TempDir(), "pids")
	// The server leaves a child behind and says that it listens.
	server := fmt.Sprintf("sleep 300 & echo $$ $! >> %s; printf r >&3; exec 3>&-; wait", pids)
	ready := make(chan struct{}, 1)
	s := &supervisor{
		argv: []string{"/bin/sh", "-c", server}, env: serverEnvironment(), log: testLog(t),
		ready: func(context.Context) { ready <- struct{}{} },
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	defer signal.Stop(children)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.run(ctx, children) }()

	<-ready
	server1, child1 := lastPids(t, pids)
	defer func() { _ = syscall.Kill(child1, syscall.SIGKILL) }()
	if err := syscall.Kill(server1, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ready:
	case <-time.After(waitLimit):
		t.Fatal("the server was not started again")
	}
	server2, child2 := lastPids(t, pids)
	if server1 == server2 {
		t.Fatalf("it is still process %d", server1)
	}
	if err := syscall.Kill(child1, 0); err != nil {
		t.Errorf("the first server's child died with it: %v", err)
	}
	cancel()
	<-done
	if err := syscall.Kill(server2, 0); err != nil {
		t.Errorf("the end of the supervision ended the server: %v", err)
	}
	for _, pid := range []int{server2, child1, child2} {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if !waitForAll(children, waitLimit) {
		t.Error("processes are left")
	}
	s.waiters.Wait()
}

// lastPids reads the last line of a server of the test above.
func lastPids(t *testing.T, path string) (server, child int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if _, err := fmt.Sscan(lines[len(lines)-1], &server, &child); err != nil {
		t.Fatal(err)
	}
	return server, child
}

func TestSupervisor_BacksOffFromAServerThatKeepsDying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &supervisor{backoff: firstBackoff}
		var waits []time.Duration
		for range 8 {
			s.startedAt = time.Now()
			waits = append(waits, s.nextBackoff())
		}
		want := []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(waits, want) {
			t.Errorf("waits %v, want %v", waits, want)
		}
		s.startedAt = time.Now()
		time.Sleep(healthyAfter)
		if wait := s.nextBackoff(); wait != firstBackoff {
			t.Errorf("after a healthy run it waits %v", wait)
		}
	})
}

func TestTerminate_ReturnsWhenAllHaveEndedOrTellsHowManyHaveNot(t *testing.T) {
	start := func(script string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // its trap is set
			t.Fatal(err)
		}
		return cmd
	}
	obedient := start("echo; exec sleep 300")
	stubborn := start("trap '' TERM; echo; while :; do sleep 1; done")
	const nobody = 1 << 30 // more than any pid: has ended long ago
	if left := terminate([]int{obedient.Process.Pid, nobody}, waitLimit); left != 0 {
		t.Errorf("%d are left", left)
	}
	if left := terminate([]int{stubborn.Process.Pid}, 50*time.Millisecond); left != 1 {
		t.Errorf("%d are left, want the one that ignores SIGTERM", left)
	}
}

func TestEndSessions_EndsThoseThatStartMeanwhile(t *testing.T) {
	var all []*exec.Cmd
	left := endSessions(func() (found []int) {
		if len(all) < 3 { // another one at each look
			cmd := exec.CommandContext(t.Context(), "/bin/sleep", "300")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			all = append(all, cmd)
		}
		for _, cmd := range all { // as zombies, which pass for shims here
			found = append(found, cmd.Process.Pid)
		}
		return found
	}, waitLimit)
	if left != 0 || len(all) != 3 {
		t.Errorf("%d are left of %d", left, len(all))
	}
	for i, cmd := range all {
		_ = cmd.Process.Kill()
		if err := cmd.Wait(); err == nil || err.Error() != "signal: terminated" {
			t.Errorf("number %d: %v", i, err)
		}
	}
}

func TestProcessesOf_FindsAProgramByItsFile(t *testing.T) {
	program := filepath.Join(t.TempDir(), "my-shim")
	binary, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, binary, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "300")
	cmd.Args[0] = "another-name" // what a process calls itself does not count
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if got := processesOf("/proc", program); !slices.Equal(got, []int{cmd.Process.Pid}) {
		t.Errorf("got %v, want %d", got, cmd.Process.Pid)
	}
	if got := processesOf("/proc", program+"2"); len(got) != 0 {
		t.Errorf("found %v for a program that does not run", got)
	}
}

// TestEndProcesses_EndsSessionsWhileTheServerRunsThenEverything runs a shutdown
// as init of a pid namespace, where "every process" is the test's own.
func TestEndProcesses_EndsSessionsWhileTheServerRunsThenEverything(t *testing.T) {
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, executable)
	cmd.Env = append(os.Environ(), asInit+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
	}
	cmd.Stderr = t.Output() // shells tell there what they were killed by
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := "shim ends, server runs\nserver ends\nall ended\n"
	if string(out) != want {
		t.Errorf("the shutdown went so:\n%swant:\n%s", out, want)
	}
}

// beInit runs a shim, a server and a process that has to be killed, and ends them.
func beInit() {
	if os.Getpid() != 1 {
		fmt.Println("not init: the shutdown would end every process of this machine")
		return
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	const loop = "echo >&3; while :; do sleep 0.01; done"
	server := startScript("trap 'echo server ends; exit' TERM; " + loop)
	shim := startScript(fmt.Sprintf("trap 'kill -0 %d && echo shim ends, server runs; exit' TERM; %s", server, loop))
	startScript("trap '' TERM; sleep 300 & " + loop)
	endProcesses(children, func() []int { return []int{shim} }, slog.New(slog.DiscardHandler))
	if err := unix.Kill(-1, 0); err == unix.ESRCH {
		fmt.Println("all ended")
	}
}

// startScript returns when the script has written a line to descriptor 3.
func startScript(script string) (pid int) {
	said, theirs, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	pid, err = syscall.ForkExec("/bin/sh", []string{"sh", "-c", script},
		&syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2, theirs.Fd()}})
	if err != nil {
		panic(err)
	}
	theirs.Close()
	if _, err := bufio.NewReader(said).ReadString('\n'); err != nil {
		panic(err)
	}
	return pid
}
