package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// before is the commit whose banger is beside today's: the last one that kept the launch of
// a session in each of its events.
const before = "466daec"

// crowdOfBefore is the last commit whose crowd can be built there, too: what it calls had
// the same form.
const crowdOfBefore = "04aea2b"

// How often each thing is measured. Each round begins with a copy of one store.
const crowdRounds = 3

// crowdGoal is how many times faster than before it has to be.
const crowdGoal = 10

// BenchmarkCrowd measures what many VMs and sessions cost the daemon, beside an older one,
// which is built in a working tree of its commit. What each process does is in crowd. The
// older one gives up reading a disk after 30 s, so that it is not as slow as it would be.
func BenchmarkCrowd(b *testing.B) {
	for b.Loop() {
		peers := []crowd{{"banger", buildCrowd(b, "..")}, {"before", buildCrowd(b, treeOf(b, before))}}
		one, many := seedAll(b, peers, 1, 10_000), seedAll(b, peers, 200, 5)
		for _, c := range []struct {
			name, title, level string
			stores             []string
			command            string
			number             int // of those that the command prints
		}{
			{"CrowdServes", "a daemon starts whose VMs have crashed with the host: until it serves", "vms=200", many, "restart", 0},
			{"CrowdRecorded", "a daemon starts whose VMs have crashed with the host: until all ends are recorded", "vms=200", many, "restart", 1},
			{"CrowdEnd", "the death of a machine, until the ends of all its sessions are recorded", "sessions=10000", one, "end", 0},
			{"CrowdTold", "an event, until who waits for it is told, as 9,999 others wait", "waiters=10000", one, "wait", 0},
			{"CrowdEvent", "the processor's time for an event for which one of so many waits", "waiters=10000", one, "wait", 1},
			{"CrowdFind", "a session is found by its name", "sessions=10000", one, "find", 0},
			{"CrowdMemory", "the memory of the daemon after that", "sessions=10000", one, "find", 2},
		} {
			contenders := make([]contender, len(peers))
			for i, peer := range peers {
				contenders[i] = contender{name: peer.name, do: func(b *testing.B, _ int) time.Duration {
					return time.Duration(peer.run(b, c.command, c.stores[i])[c.number])
				}}
			}
			m := measure{Name: c.name, Title: c.title, Place: "store", Level: c.level, Unit: "ns/op", Series: alternate(b, crowdRounds, contenders...)}
			if c.name == "CrowdMemory" {
				m.Unit = "B"
				m.atMost(c.title, m.of("banger", 0.5), m.of("before", 0.5), 2)
			} else {
				m.fewer(c.title, m.of("banger", 0.5), m.of("before", 0.5), crowdGoal)
			}
			m.record(b)
		}
	}
}

// crowd is a program of one commit.
type crowd struct{ name, program string }

// treeOf makes a working tree of a commit, for as long as the benchmark runs.
func treeOf(b *testing.B, commit string) string {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "tree")
	command(b, "..", "git", "worktree", "add", "--detach", "--force", dir, commit)
	b.Cleanup(func() { // when the benchmark's own context has ended
		if out, err := exec.Command("git", "worktree", "remove", "--force", dir).CombinedOutput(); err != nil {
			b.Errorf("%v: %s", err, out)
		}
	})
	command(b, "..", "sh", "-c", "git archive "+crowdOfBefore+" bench/crowd | tar -x -C "+dir)
	return dir
}

func buildCrowd(b *testing.B, tree string) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "crowd")
	command(b, tree, "go", "build", "-o", program, "./bench/crowd")
	return program
}

// seedAll has each make a store, in memory: each record is synced.
func seedAll(b *testing.B, peers []crowd, vms, sessions int) (stores []string) {
	b.Helper()
	for _, peer := range peers {
		dir, err := os.MkdirTemp("/dev/shm", "banger-crowd-")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { os.RemoveAll(dir) })
		command(b, ".", peer.program, "seed", dir, strconv.Itoa(vms), strconv.Itoa(sessions))
		stores = append(stores, dir)
	}
	return stores
}

// run runs a command with a copy of a store on the disk, and returns what it prints. What
// the copy has left to be written is on the disk before.
func (c crowd) run(b *testing.B, name, store string) (numbers []int64) {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "store")
	command(b, ".", "cp", "-a", "--sparse=always", store, dir)
	defer os.RemoveAll(dir)
	command(b, ".", "sync", "-f", dir)
	if err := json.Unmarshal(command(b, ".", c.program, name, dir), &numbers); err != nil {
		b.Fatal(err)
	}
	return numbers
}

// command runs a program and returns what it prints.
func command(b *testing.B, dir, name string, args ...string) []byte {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), name, args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(fmt.Errorf("cannot run %s: %w", name, err))
	}
	return out
}
