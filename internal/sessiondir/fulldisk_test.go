//go:build !unit

package sessiondir_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"time"

	"banger"
	"banger/internal/sessiondir"
)

func TestWriteState_OnAFullDiskEveryStateIsKept(t *testing.T) {
	for name, mount := range smallDisks {
		t.Run(name, func(t *testing.T) {
			parent := mount(t)
			dir, lock, err := sessiondir.Create(parent, launch())
			must(t, err)
			defer lock.Close()
			fillDisk(t, parent)
			state, err := sessiondir.ReadState(os.DirFS(dir))
			must(t, err)
			for n := range 50 {
				state.Status, state.Sequence = banger.StatusRunning, int64(n+2)
				state.LastError = strings.Repeat("\x00<&>é\"", n*40)
				must(t, sessiondir.WriteState(dir, state))
				got, err := sessiondir.ReadState(os.DirFS(dir))
				if err != nil || got.Sequence != state.Sequence || !strings.HasPrefix(state.LastError, strings.TrimSuffix(got.LastError, " […]")) {
					t.Fatalf("state %d is %+v, %v", n, got, err)
				}
			}
			if _, _, err := sessiondir.Create(parent, launch()); banger.CodeOf(err) != banger.CodeMissing {
				t.Errorf("a full disk takes a session: %v", err)
			}
			if left, err := filepath.Glob(filepath.Join(parent, "*")); err != nil || len(left) != 2+len(lostAndFound(parent)) {
				t.Errorf("left: %q, %v", left, err)
			}
			if left, err := filepath.Glob(filepath.Join(parent, ".new-*")); err != nil || len(left) != 0 {
				t.Errorf("left: %q, %v", left, err)
			}
		})
	}
}

// The end of a session is kept even if all that it tells has the greatest length.
func TestWriteState_OnAFullDiskTheLargestStateIsKept(t *testing.T) {
	parent := mountTmpfs(t, "8M")
	dir, lock, err := sessiondir.Create(parent, launch())
	must(t, err)
	defer lock.Close()
	state, err := sessiondir.ReadState(os.DirFS(dir))
	must(t, err)
	long := strings.Repeat("<", banger.MaxRequesterBytes) // JSON takes six bytes for each
	state.Status, state.EndedBy, state.ExitSignal, state.LaunchStage = banger.StatusFailed, banger.EndedByVMStopped, "SIGSTKFLT", banger.StagePreflightCommand
	state.LastError, state.LaunchMessage, state.LaunchRawLog = long, long, long
	state.GuestPID, state.PIDStartTime = math.MaxInt32, math.MaxUint64
	state.StdinOffset, state.StdoutBytes, state.StderrBytes = math.MaxInt64, math.MaxInt64, math.MaxInt64
	state.StartedAt, state.EndedAt = epoch.Add(123456789), epoch.Add(987654321)
	state.CgroupPath = "/sys/fs/cgroup/banger/" + string(state.ID)
	state.Usage = banger.Usage{CPUTimeUS: math.MaxInt64, MemoryPeakBytes: math.MaxInt64, OOMKills: math.MaxInt64}
	for range banger.MaxStopSteps {
		state.StopSteps = append(state.StopSteps, banger.StopStep{At: state.EndedAt, Signal: "SIGKILL", Cause: banger.EndedByVMStopped, By: long})
	}
	state.Survivors = &banger.Survivors{Count: 1000}
	for range banger.MaxSurvivors {
		state.Survivors.Processes = append(state.Survivors.Processes, banger.Process{PID: math.MaxInt32, Command: long[:15]})
	}
	fillDisk(t, parent)
	state.Sequence++
	must(t, sessiondir.WriteState(dir, state))
	got, err := sessiondir.ReadState(os.DirFS(dir))
	if err != nil || got.EndedBy != state.EndedBy || len(got.StopSteps) != banger.MaxStopSteps || got.Survivors.Count != 1000 {
		t.Errorf("state is %+v, %v", got, err)
	}
	if state.StopSteps[0].By != long || len(state.Survivors.Processes) != banger.MaxSurvivors {
		t.Error("the caller's state was shortened, too")
	}
}

func TestWriter_GivesUpOutputOnAFullDiskToo(t *testing.T) {
	dir := mountTmpfs(t, "400k")
	w, err := sessiondir.OpenWriter(dir, true, 128<<10)
	must(t, err)
	defer w.Close()
	at := int64(0)
	fill := func(n int64) (failed int) {
		for end := at + n; at < end; at += 1000 {
			if _, err := w.Append(banger.StreamStdout, pattern(at, 1000), epoch.Add(time.Duration(at)*time.Millisecond)); err != nil {
				failed++
			}
			at = w.Size(banger.StreamStdout) - 1000
		}
		return failed
	}
	fill(120_000)
	f, err := os.Create(filepath.Join(dir, "filler"))
	must(t, err)
	defer f.Close()
	for err == nil { // all the rest but a page of what is needed to go over the limit
		_, err = f.Write(make([]byte, 4096))
	}
	info, err := f.Stat()
	must(t, err)
	must(t, f.Truncate(info.Size()-16<<10))
	if failed := fill(200_000); failed > 0 {
		t.Errorf("%d writes have failed", failed)
	}
	checkCovers(t, readAll(t, sessiondir.NewReader(os.DirFS(dir)), banger.StreamStdout, banger.LogCursor{}, 10_000), banger.StreamStdout, 0, w.Size(banger.StreamStdout))
}
