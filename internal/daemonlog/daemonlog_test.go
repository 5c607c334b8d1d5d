package daemonlog

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFile_IsBoundedAndKeepsTheNewest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.log")
	const limit = 1 << 10
	if err := os.WriteFile(path, []byte("from the daemon before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := open(path, limit)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	line := []byte(strings.Repeat("x", 99) + "\n")
	for range 100 {
		if n, err := l.Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if n, err := l.Write(make([]byte, 10*limit)); n != 10*limit || err != nil {
		t.Errorf("a line that is longer than the log: %d, %v", n, err)
	}
	if _, err := l.Write([]byte("newest\n")); err != nil {
		t.Error(err)
	}
	for _, name := range []string{path, path + OldSuffix} {
		if info, err := os.Stat(name); err != nil || info.Size() > limit {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if data, err := os.ReadFile(path); err != nil || !bytes.HasSuffix(data, []byte("newest\n")) {
		t.Errorf("%q, %v", data, err)
	}
}

// Somebody who removes or moves the log makes it neither invisible nor boundless.
func TestFile_SurvivesItsRemoval(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.log")
	l, err := open(path, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 10 {
		if i == 3 {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Write([]byte(strings.Repeat("x", 60))); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 60 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestCounting_EqualLinesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(Counting(slog.NewTextHandler(&out, nil))).With("vm", "a")
		other := log.With("vm", "b")
		for i := range 3000 { // five minutes
			log.Info("link is down", "cause", errors.New("refused"), "retry_in", time.Duration(i))
			time.Sleep(100 * time.Millisecond)
		}
		other.Info("link is down", "cause", errors.New("refused"), "retry_in", time.Second)
		log.Info("link is down", "cause", errors.New("no route"), "retry_in", time.Second)
		log.Info("said", "words", strings.Repeat("w", 1<<20))
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 5+3 {
			t.Fatalf("%d lines:\n%.2000s", len(lines), out.String())
		}
		if !strings.Contains(lines[1], "repeated=599") {
			t.Errorf("the second minute says %s", lines[1])
		}
		if len(lines[7]) > 5<<10 {
			t.Errorf("a line has %d bytes", len(lines[7]))
		}
	})
}
