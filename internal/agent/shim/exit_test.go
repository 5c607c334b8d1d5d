//go:build !unit

package shim_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/agent/shim"
	"banger/internal/agent/shimclient"
	"banger/internal/sessiondir"
	"banger/test/wait"
)

func TestSession_ExitStatusIsKept(t *testing.T) {
	for _, c := range []struct {
		script string
		status banger.Status
		code   *int
		signal string
		by     banger.EndedBy
	}{
		{"exit 0", banger.StatusExited, ptr(0), "", banger.EndedByExit},
		{"exit 3", banger.StatusFailed, ptr(3), "", banger.EndedByExit},
		{"exit 137", banger.StatusFailed, ptr(137), "", banger.EndedByExit},
		{"kill -KILL $$", banger.StatusFailed, nil, "SIGKILL", banger.EndedBySignal},
		{"kill -SEGV $$", banger.StatusFailed, nil, "SIGSEGV", banger.EndedBySignal},
		{"kill -40 $$", banger.StatusFailed, nil, "SIGRTMIN+6", banger.EndedBySignal},
	} {
		t.Run(c.script, func(t *testing.T) {
			before := time.Now()
			s := sh(t, c.script)
			final := s.wait()
			if final.Status != c.status || final.ExitSignal != c.signal || final.EndedBy != c.by {
				t.Errorf("ended as %+v", final)
			}
			if (final.ExitCode == nil) != (c.code == nil) || c.code != nil && *final.ExitCode != *c.code {
				t.Errorf("exit code %v", final.ExitCode)
			}
			if final.StartedAt.Before(before) || final.EndedAt.Before(final.StartedAt) || final.LastError != "" {
				t.Errorf("ended as %+v", final)
			}
		})
	}
}

func TestSession_RunningStateIsReportedAndOnTheDisk(t *testing.T) {
	s := sh(t, "exec sleep 1000")
	disk := s.stateOnDisk()
	if s.state.Status != banger.StatusRunning || s.state.GuestPID == 0 || s.state.PIDStartTime == 0 || s.state.Sequence != 2 {
		t.Errorf("reported %+v", s.state)
	}
	if disk.Status != s.state.Status || disk.GuestPID != s.state.GuestPID || disk.Sequence != s.state.Sequence {
		t.Errorf("reported %+v, the disk has %+v", s.state, disk)
	}
	if !alive(s.state.GuestPID) {
		t.Error("the command does not run")
	}
	if _, err := sessiondir.TryLock(s.dir); err == nil {
		t.Error("nobody holds the session's lock")
	}
}

func TestSession_NothingIsLeftAfterTheEnd(t *testing.T) {
	s := sh(t, "exit 0")
	s.wait()
	lock, err := sessiondir.TryLock(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	lock.Close()
	if _, err := os.Lstat(filepath.Join(s.dir, sessiondir.SocketName)); !os.IsNotExist(err) {
		t.Errorf("the socket: %v", err)
	}
}

func TestSession_ExitIsToldAfterTheLastByte(t *testing.T) {
	const size = 3 << 20
	s := sh(t, "read x; head -c 3145728 /dev/zero; head -c 3145728 /dev/zero >&2; printf end", withPipe)
	conn, err := shimclient.Dial(t.Context(), s.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Watch(t.Context(), func(st banger.SessionState) {
		if !st.Status.Ended() {
			s.mustSend(nil, "\n", false)
			return
		}
		out, errOut := s.stdout(), s.log(sessiondir.StderrName)
		if len(out) != size+3 || !strings.HasSuffix(out, "end") || len(errOut) != size {
			t.Errorf("the exit was told when the logs had %d and %d bytes", len(out), len(errOut))
		}
		if st.StdoutBytes != size+3 || st.StderrBytes != size {
			t.Errorf("the exit tells of %d and %d bytes", st.StdoutBytes, st.StderrBytes)
		}
		if disk := s.stateOnDisk(); !disk.Status.Ended() {
			t.Errorf("the exit was told when the disk had %s", disk.Status)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSession_LeftoversOfAnEndedCommandAreKilled(t *testing.T) {
	eachWay(t, func(t *testing.T, way option) {
		// One in the group, one double-forked into a session of its own, both
		// with the pipe open.
		s := sh(t, `sleep 1000 & echo $!; setsid sh -c 'sleep 1000 & echo $!; sleep 1000 & echo $!' & wait $!; exit 4`, way)
		final := s.wait()
		if final.ExitCode == nil || *final.ExitCode != 4 || final.LastError != "" {
			t.Errorf("ended as %+v", final)
		}
		left := pids(t, s.stdout())
		if len(left) != 3 {
			t.Fatalf("the command told of %d processes", len(left))
		}
		for _, pid := range left {
			if alive(pid) {
				t.Errorf("process %d lives", pid)
			}
		}
	})
}

func TestSession_AnOutsiderThatHoldsStdoutDoesNotDelayTheExit(t *testing.T) {
	for name, mode := range map[string]option{"pipe": withPipe, "tty": withTTY} {
		t.Run(name, func(t *testing.T) {
			s := sh(t, "read line; printf last; exit 5", mode)
			holder, err := os.OpenFile("/proc/"+itoa(s.state.GuestPID)+"/fd/1", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer holder.Close()
			s.mustSend(nil, "go\n", false)
			if final := s.wait(); final.ExitCode == nil || *final.ExitCode != 5 {
				t.Errorf("ended as %+v", final)
			}
			if !strings.HasSuffix(s.stdout(), "last") {
				t.Errorf("stdout is %q", s.stdout())
			}
		})
	}
}

func TestSession_KillEndsEveryProcess(t *testing.T) {
	eachWay(t, func(t *testing.T, way option) {
		s := sh(t, `trap '' TERM HUP; setsid sh -c 'trap "" TERM; sleep 1000 & echo $!; exec sleep 1000' & echo $!; sleep 1000 & echo $!; echo $$; wait`, way)
		wait.For(t, "four pids", func() bool { return strings.Count(s.stdout(), "\n") == 4 })
		s.stop(0)
		final := s.wait()
		if final.EndedBy != banger.EndedByKill || final.ExitSignal != "SIGKILL" || final.Status != banger.StatusFailed {
			t.Errorf("ended as %+v", final)
		}
		for _, pid := range pids(t, s.stdout()) {
			if alive(pid) {
				t.Errorf("process %d lives", pid)
			}
		}
	})
}

func TestSession_KillEndsAProcessThatKeepsForking(t *testing.T) {
	eachWay(t, func(t *testing.T, way option) {
		s := sh(t, `echo ready; i=0; while [ $i -lt 2000 ]; do setsid sh -c 'sleep 1000' & i=$((i+1)); sleep 0.01; done`, way)
		s.waitForOutput("ready")
		s.stop(0)
		if final := s.wait(); final.EndedBy != banger.EndedByKill || final.LastError != "" {
			t.Errorf("ended as %+v", final)
		}
	})
}

func TestSession_StopLetsTheCommandEndByItself(t *testing.T) {
	eachWay(t, func(t *testing.T, way option) {
		s := sh(t, `trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 1000 & wait $!; done`, way)
		s.waitForOutput("ready")
		s.stop(time.Minute)
		final := s.wait()
		if final.EndedBy != banger.EndedByStop || final.ExitCode == nil || *final.ExitCode != 7 {
			t.Errorf("ended as %+v", final)
		}
		if !strings.Contains(s.stdout(), "bye") {
			t.Errorf("stdout is %q", s.stdout())
		}
	})
}

func TestSession_StopKillsAfterTheGrace(t *testing.T) {
	eachWay(t, func(t *testing.T, way option) {
		s := sh(t, `trap '' TERM; echo ready; while :; do sleep 1; done`, way)
		s.waitForOutput("ready")
		started := time.Now()
		s.stop(300 * time.Millisecond)
		final := s.wait()
		if final.EndedBy != banger.EndedByStop || final.ExitSignal != "SIGKILL" {
			t.Errorf("ended as %+v", final)
		}
		if took := time.Since(started); took < 300*time.Millisecond {
			t.Errorf("killed after %s", took)
		}
	})
}

func TestSession_ALaterStopCanOnlyShortenTheGrace(t *testing.T) {
	s := sh(t, `trap '' TERM; echo ready; while :; do sleep 1; done`)
	s.waitForOutput("ready")
	s.stop(time.Hour)
	s.stop(200 * time.Millisecond)
	s.stop(time.Hour)
	if final := s.wait(); final.EndedBy != banger.EndedByStop || final.ExitSignal != "SIGKILL" {
		t.Errorf("ended as %+v", final)
	}
}

func TestSession_AStoppedJobIsStoppedToo(t *testing.T) {
	eachWay(t, func(t *testing.T, way option) {
		s := sh(t, `trap 'exit 9' TERM; echo ready; kill -STOP $$; sleep 1000`, way)
		s.waitForOutput("ready")
		wait.For(t, "the command to stop itself", func() bool {
			stat, _ := os.ReadFile("/proc/" + itoa(s.state.GuestPID) + "/stat")
			return strings.Contains(string(stat), ") T ")
		})
		s.stop(time.Minute)
		if final := s.wait(); final.ExitCode == nil || *final.ExitCode != 9 {
			t.Errorf("ended as %+v", final)
		}
	})
}

func TestSession_EveryChangeIsToldInOrder(t *testing.T) {
	s := sh(t, `trap '' TERM; echo ready; while :; do sleep 1; done`, withPipe)
	s.waitForOutput("ready")
	conn, err := shimclient.Dial(t.Context(), s.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var seen []banger.Status
	var last int64
	err = conn.Watch(t.Context(), func(st banger.SessionState) {
		seen = append(seen, st.Status)
		if st.Sequence <= last {
			t.Errorf("sequence %d follows %d", st.Sequence, last)
		}
		last = st.Sequence
		switch len(seen) {
		case 1:
			s.mustSend(nil, "", true)
		case 2: // the end of stdin is told: by itself, not with the stop
			s.stop(100 * time.Millisecond)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	// The end of stdin, SIGTERM and SIGKILL are a change each.
	want := []banger.Status{banger.StatusRunning, banger.StatusRunning, banger.StatusStopping, banger.StatusStopping, banger.StatusFailed}
	if got := statuses(seen); got != statuses(want) {
		t.Errorf("told %s, not %s", got, statuses(want))
	}
}

func statuses(list []banger.Status) string {
	var texts []string
	for _, s := range list {
		texts = append(texts, string(s))
	}
	return strings.Join(texts, " ")
}

func TestSession_CgroupIsUsedAndRemoved(t *testing.T) {
	root := cgroupRoot(t)
	if root == "" {
		t.Log("no cgroup (v2) can be made here")
		return
	}
	s := sh(t, "cat /proc/self/cgroup; read x", withPipe, withCgroup(root))
	want := filepath.Join(root, filepath.Base(s.dir))
	if s.state.CgroupPath != want {
		t.Errorf("the state names cgroup %q, not %q", s.state.CgroupPath, want)
	}
	s.waitForOutput("/" + filepath.Base(root) + "/" + filepath.Base(s.dir) + "\n")
	s.mustSend(nil, "", true)
	s.wait()
	if _, err := os.Stat(want); !os.IsNotExist(err) {
		t.Errorf("the cgroup: %v", err)
	}
}

func TestSession_ALaunchThatFailsIsOnRecord(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) banger.ByteString {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return banger.ByteString(path)
	}
	for name, c := range map[string]struct {
		path  banger.ByteString
		errno string
		cause banger.LaunchCause
	}{
		"no program":     {write("text", "just text", 0o755), "ENOEXEC", banger.LaunchCommandNotExecutable},
		"no interpreter": {write("script", "#!/no/such/interpreter\n", 0o755), "ENOENT", banger.LaunchCommandNotFound},
		"not executable": {write("plain", "#!/bin/sh\n", 0o644), "EACCES", banger.LaunchCommandNotExecutable},
		"missing":        {"/no/such/command", "ENOENT", banger.LaunchCommandNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, way option) {
				s := launch(t, way, func(l *shim.Launch) { l.Path, l.Argv = c.path, []banger.ByteString{c.path} })
				st := s.state
				if st.Status != banger.StatusFailed || st.EndedBy != banger.EndedByLaunch || st.LaunchStage != banger.StageLaunch || st.LaunchCause != c.cause ||
					st.ExitCode != nil || !strings.Contains(st.LaunchMessage, string(c.path)) || !strings.Contains(st.LaunchRawLog, c.errno) {
					t.Errorf("failed as %+v", st)
				}
				s.waitShim()
				if disk := s.stateOnDisk(); disk.Status != banger.StatusFailed || disk.LaunchMessage != st.LaunchMessage {
					t.Errorf("the disk has %+v", disk)
				}
				if _, err := os.Lstat(filepath.Join(s.dir, sessiondir.SocketName)); !os.IsNotExist(err) {
					t.Errorf("the socket: %v", err)
				}
			})
		})
	}
}
