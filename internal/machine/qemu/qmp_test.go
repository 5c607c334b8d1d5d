package qemu

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// serveQMP plays QEMU for one client after the other, in a directory whose path is
// too long for a socket: it greets, and answers each line with what answer
// returns for it.
func serveQMP(t *testing.T, greeting string, answer func(command string, id int) string) record {
	t.Helper()
	r := record{Name: "banger-test", RuntimeDir: filepath.Join(t.TempDir(), strings.Repeat("long", 30))}
	if err := os.Mkdir(r.RuntimeDir, 0o700); err != nil {
		t.Fatal(err)
	}
	socket, err := listenUnix(r.RuntimeDir, qmpName)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	l, err := net.FileListener(socket)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answerQMP(conn, greeting, answer)
		}
	}()
	return r
}

func answerQMP(conn net.Conn, greeting string, answer func(string, int) string) {
	defer conn.Close()
	_, _ = io.WriteString(conn, greeting)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		var c struct {
			Execute string
			ID      int
		}
		if json.Unmarshal(lines.Bytes(), &c) != nil {
			return
		}
		_, _ = io.WriteString(conn, answer(c.Execute, c.ID))
	}
}

const greeting = `{"QMP": {"version": {}, "capabilities": ["oob"]}}` + "\r\n"

// behaves answers as QEMU does, events in between.
func behaves(command string, id int) string {
	result := `{}`
	if command == "query-name" {
		result = `{"name": "banger-test"}`
	}
	event := `{"event": "RTC_CHANGE", "data": {}, "timestamp": {}}` + "\r\n"
	n, _ := json.Marshal(id)
	return event + `{"return": ` + result + `, "id": ` + string(n) + "}\r\n" + event
}

func TestQMP_FindsItsAnswersAmongEvents(t *testing.T) {
	r := serveQMP(t, greeting, behaves)
	for range 3 { // each on a connection of its own
		err := r.withQMP(t.Context(), func(q *qmp) error {
			return errors.Join(q.execute("system_powerdown", nil, nil), q.execute("query-status", nil, &struct{}{}))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestQMP_PassesOverAnswersToAClientThatDied(t *testing.T) {
	r := serveQMP(t, greeting, func(command string, id int) string {
		stale := strings.Replace(behaves(command, id-1), "banger-test", "banger-other", 1)
		if command == "qmp_capabilities" {
			return stale + fmt.Sprintf(`{"error": {"class": "CommandNotFound", "desc": "already complete"}, "id": %d}`, id) + "\n"
		}
		return stale + behaves(command, id)
	})
	if err := r.withQMP(t.Context(), func(*qmp) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestQMP_RefusesWhatIsNotItsMachine(t *testing.T) {
	for name, test := range map[string]struct {
		greeting string
		answer   func(string, int) string
		says     string
	}{
		"not QMP":         {"{}\n", behaves, "does not speak QMP"},
		"not JSON":        {"hello\n", behaves, "cannot decode"},
		"half a greeting": {`{"QMP": {`, func(string, int) string { return "" }, ""},
		"endless line":    {strings.Repeat("x", 2*maxQMPLine), behaves, "more than"},
		"another machine": {greeting, func(c string, id int) string {
			return strings.Replace(behaves(c, id), "banger-test", "banger-other", 1)
		}, "banger-other"},
		"answer to nothing": {greeting, func(string, int) string { return `{"return": {}}` + "\n" }, "to nothing"},
		"refusal": {greeting, func(string, int) string {
			return `{"error": {"class": "CommandNotFound", "desc": "no such command"}}` + "\n"
		}, "no such command"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.says == "" { // only the context ends that
				cancel()
			}
			err := serveQMP(t, test.greeting, test.answer).withQMP(ctx, func(*qmp) error { return nil })
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("withQMP: %v, want %q", err, test.says)
			}
		})
	}
}

func TestQMP_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := serveQMP(t, greeting, func(command string, id int) string {
		if command != "query-name" {
			return behaves(command, id)
		}
		cancel() // QEMU hangs from now on
		return ""
	})
	if err := r.withQMP(ctx, func(*qmp) error { return nil }); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("withQMP: %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

func FuzzQMP_Read(f *testing.F) {
	f.Add([]byte(greeting))
	f.Add([]byte(behaves("query-name", 1)))
	f.Add([]byte("\n\n{}\n[]\nnull\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, r := range []io.Reader{bytes.NewReader(data), iotest.OneByteReader(bytes.NewReader(data))} {
			q := &qmp{lines: bufio.NewReaderSize(r, 16)}
			for lines := 0; ; lines++ {
				if _, err := q.read(); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
					break
				}
				if lines > bytes.Count(data, []byte("\n")) {
					t.Fatal("there are more messages than lines")
				}
			}
		}
	})
}

func TestReadLine_IsBounded(t *testing.T) {
	for length, ok := range map[int]bool{1: true, 63: true, 64: true, 65: false, 1000: false} {
		line := strings.Repeat("x", length-1) + "\n"
		got, err := readLine(bufio.NewReaderSize(strings.NewReader(line), 16), 64)
		if (err == nil) != ok || ok && string(got) != line {
			t.Errorf("a line of %d bytes: %q, %v", length, got, err)
		}
	}
}
