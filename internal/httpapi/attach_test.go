package httpapi_test

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/servicetest"
	"banger/sessionstream"
)

const upgradeRequest = "POST /v1/vms/v/sessions/s/attach HTTP/1.1\r\nHost: banger\r\nConnection: Upgrade\r\nUpgrade: banger-sessionstream\r\n\r\n"

// handOver returns the vector of one side that begins with an upgrade.
func handOver(t *testing.T, side string) (head string, stream []byte) {
	t.Helper()
	data, err := os.ReadFile("../../sessionstream/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Name, Head, Hex string }
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		if v.Head != "" && strings.HasPrefix(v.Name, side) {
			stream, err := hex.DecodeString(v.Hex)
			if err != nil {
				t.Fatal(err)
			}
			return v.Head, stream
		}
	}
	t.Fatalf("no vector of the %s has an upgrade", side)
	return "", nil
}

// dial connects to the API; the connection is closed when the test ends.
func (r *rig) dial() *net.UnixConn {
	r.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: r.socket, Net: "unix"})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		r.Fatal(err)
	}
	return conn
}

// What a client sends behind its request is the stream's, wherever that is cut, and the
// answer is to the byte what the vectors have.
func TestAttach_HandsTheConnectionOverWithWhatWasSentAhead(t *testing.T) {
	head, stream := handOver(t, "client")
	answerHead, answer := handOver(t, "server")
	answerHead = strings.Replace(answerHead, "v0.9.0", "v1.2.3", 1)
	r := newRigOf(t, &servicetest.Fake{OnAttach: func(conn net.Conn, _ int64) {
		got := make([]byte, len(stream))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != string(stream) {
			t.Errorf("the stream is %q, %v", got, err)
		}
		_, _ = conn.Write(answer)
	}})
	sent := append([]byte(head), stream...)
	for _, size := range []int{1, 7, len(head), len(head) + 1, len(sent)} {
		conn := r.dial()
		for rest := sent; len(rest) > 0; {
			n := min(size, len(rest))
			if _, err := conn.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		got, err := io.ReadAll(conn)
		if want := answerHead + string(answer); err != nil || string(got) != want {
			t.Errorf("in pieces of %d the answer is\n%q\nnot\n%q, %v", size, got, want, err)
		}
	}
}

// A client that sends no more still gets what there is.
func TestAttach_OfAClientThatSendsNoMoreIsServed(t *testing.T) {
	r := newRig(t)
	conn := r.dial()
	if _, err := io.WriteString(conn, upgradeRequest+"all"); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if _, echoed, _ := strings.Cut(string(got), "\r\n\r\n"); echoed != "all" || err != nil {
		t.Errorf("it gets %q, %v", got, err)
	}
}

func TestAttach_IsRefusedAsAnyRequestWhileItIsOne(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		err     error
		status  int
		code    banger.Code
		text    string
	}{
		"no upgrade":      {request: "POST /v1/vms/v/sessions/s/attach HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", status: 426, code: banger.CodeInvalid, text: "does not ask for an upgrade"},
		"another upgrade": {request: strings.Replace(upgradeRequest, "banger-sessionstream", "h2c", 1), status: 426, code: banger.CodeInvalid, text: "upgrade"},
		"not in Connection": {request: strings.Replace(upgradeRequest, "Connection: Upgrade", "Connection: keep-alive", 1),
			status: 426, code: banger.CodeInvalid, text: "upgrade"},
		"HTTP/1.0":   {request: strings.Replace(upgradeRequest, "HTTP/1.1", "HTTP/1.0", 1), status: 426, code: banger.CodeInvalid, text: "upgrade"},
		"a body":     {request: strings.Replace(upgradeRequest, "\r\n\r\n", "\r\nContent-Length: 2\r\n\r\n{}", 1), status: 400, code: banger.CodeInvalid, text: "body"},
		"chunks":     {request: strings.Replace(upgradeRequest, "\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1), status: 400, code: banger.CodeInvalid, text: "body"},
		"a query":    {request: strings.Replace(upgradeRequest, "attach ", "attach?x=y ", 1), status: 400, code: banger.CodeInvalid, text: "parameter"},
		"no session": {request: upgradeRequest, err: banger.Errorf(banger.CodeNotFound, "no such session"), status: 404, code: banger.CodeNotFound, text: "no such"},
		"another version": {request: strings.Replace(upgradeRequest, "\r\n\r\n", "\r\nBanger-Version: v2.0.0\r\n\r\n", 1),
			status: 400, code: banger.CodeMismatch, text: "cannot work together"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRigOf(t, &servicetest.Fake{Err: c.err})
			conn := r.dial()
			if _, err := io.WriteString(conn, c.request); err != nil {
				t.Fatal(err)
			}
			status, header, body := readAnswer(t, bufio.NewReader(conn))
			r.wantError(status, body, c.status, c.code, c.text)
			if upgrade := header.Get("Upgrade"); (upgrade == sessionstream.UpgradeToken) != (c.status == 426) {
				t.Errorf("the header Upgrade is %q", upgrade)
			}
		})
	}
}

const execRequest = "POST /v1/vms/v/exec HTTP/1.1\r\nHost: banger\r\nConnection: Upgrade\r\nUpgrade: banger-sessionstream\r\nContent-Length: 18\r\n\r\n{\"command\":\"true\"}"

// An exec is a start of a session whose connection is the session's, with what was sent
// behind its body, wherever that is cut.
func TestExec_StartsAndHandsTheConnectionOver(t *testing.T) {
	chunked := strings.Replace(execRequest, "Content-Length: 18\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n12\r\n", 1) + "\r\n0\r\n\r\n"
	for name, request := range map[string]string{"sized": execRequest, "chunked": chunked} {
		for _, size := range []int{1, 7, len(request), len(request) + 1, len(request) + 3} {
			var started banger.SessionRequest
			r := newRigOf(t, &servicetest.Fake{Session: banger.Session{ID: "x", VMID: "v"}, OnCall: func(method string, args ...any) {
				if method == "StartSession" {
					started = args[1].(banger.SessionRequest)
				}
			}})
			conn := r.dial()
			for rest := request + "all"; rest != ""; {
				n := min(size, len(rest))
				if _, err := io.WriteString(conn, rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn)
			head, echoed, _ := strings.Cut(string(got), "\r\n\r\n")
			if !strings.HasPrefix(head, "HTTP/1.1 101 ") || echoed != "all" || err != nil || started.Command != "true" || !started.NoWait {
				t.Errorf("%s, in pieces of %d: the answer is %q, %v, to %+v", name, size, got, err, started)
			}
		}
	}
}

func TestExec_IsRefusedBeforeAnythingIsStarted(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		err     error
		status  int
		text    string
	}{
		"no upgrade":      {request: strings.Replace(execRequest, "Upgrade: banger-sessionstream\r\n", "", 1), status: 426, text: "does not ask for an upgrade"},
		"no body":         {request: strings.Replace(upgradeRequest, "/sessions/s/attach", "/exec", 1), status: 400, text: "body is empty"},
		"another member":  {request: strings.Replace(execRequest, "command", "commend", 1), status: 400, text: "commend"},
		"a VM that stops": {request: execRequest, err: banger.Errorf(banger.CodeState, "VM v is stopped"), status: 409, text: "is stopped"},
	} {
		t.Run(name, func(t *testing.T) {
			attached := false
			r := newRigOf(t, &servicetest.Fake{Err: c.err, OnCall: func(method string, _ ...any) { attached = attached || method == "AttachSession" || c.err == nil }})
			conn := r.dial()
			if _, err := io.WriteString(conn, c.request); err != nil {
				t.Fatal(err)
			}
			status, _, body := readAnswer(t, bufio.NewReader(conn))
			if status != c.status || !strings.Contains(body, c.text) || attached {
				t.Errorf("status %d, %s; attached or started: %v", status, body, attached)
			}
		})
	}
}

// Connections are numbered as their clients come, whether they are used again or not.
func TestAttach_ConnectionsAreNumberedAsTheyCome(t *testing.T) {
	numbers := make(chan int64, 1)
	r := newRigOf(t, &servicetest.Fake{OnAttach: func(_ net.Conn, number int64) { numbers <- number }})
	attach := func(conn *net.UnixConn) int64 {
		if _, err := io.WriteString(conn, upgradeRequest); err != nil {
			t.Fatal(err)
		}
		return <-numbers
	}
	reused := r.dial()
	if _, err := io.WriteString(reused, "GET /v1/info HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if status, _, body := readAnswer(t, bufio.NewReader(reused)); status != http.StatusOK {
		t.Fatalf("%d, %s", status, body)
	}
	early, late := r.dial(), r.dial()
	second, first := attach(late), attach(early)
	third, fourth := attach(reused), attach(r.dial())
	if first >= second || second >= third || third >= fourth {
		t.Errorf("the numbers are %d, %d, %d and %d", first, second, third, fourth)
	}
}

// An attachment is a call under way: the end of the daemon ends it, and waits for that.
func TestServe_EndsAttachmentsWithTheDaemon(t *testing.T) {
	r := newRig(t)
	conn := r.dial()
	if _, err := io.WriteString(conn, upgradeRequest+"x"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	if status, _, body := readAnswer(t, in); status != http.StatusSwitchingProtocols {
		t.Fatalf("%d, %s", status, body)
	}
	if b, err := in.ReadByte(); b != 'x' || err != nil {
		t.Fatalf("%q, %v", b, err)
	}
	r.daemon.Stop()
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection ends with %v", err)
	}
}

// What docs/PROTOCOL.md has for curl works as it stands there.
func TestAttach_CanBeSeenWithCurl(t *testing.T) {
	text, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(text), "**To see it**")
	_, script, _ = strings.Cut(script, "```sh\n")
	script, _, found := strings.Cut(script, "| hexdump -C\n```")
	if !found {
		t.Fatal("docs/PROTOCOL.md has no command that ends with hexdump")
	}
	r := newRigOf(t, &servicetest.Fake{OnAttach: func(conn net.Conn, _ int64) {
		c, err := sessionstream.NewReader(conn).ReadControl()
		if a, ok := c.(*sessionstream.Attach); !ok || a.Role != sessionstream.RoleViewer || *a.Tail != 10 {
			t.Errorf("curl sends %+v, %v", c, err)
		}
		_, _ = io.WriteString(conn, "seen")
	}})
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(script, "~/.local/state/banger/run/banger.sock", r.socket))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || string(out) != "seen" {
		t.Errorf("it prints %q, %v: %s", out, err, stderr.String())
	}
	if calls := r.fake.Calls(); !slices.Equal(calls, []string{`AttachSession "dev" "shell"`}) {
		t.Errorf("calls %q", calls)
	}
}

// The session that docs/PROTOCOL.md shows byte by byte is that of the vectors.
func TestProtocolDoc_ShowsTheUpgradeOfTheVectors(t *testing.T) {
	text, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	_, dump, _ := strings.Cut(string(text), "**Byte by byte.**")
	_, dump, _ = strings.Cut(dump, "```\n")
	dump, _, _ = strings.Cut(dump, "```")
	shown := map[byte][]byte{}
	side := byte(0)
	for line := range strings.Lines(dump) {
		if line[0] != ' ' {
			side = line[0]
		}
		part, err := hex.DecodeString(strings.ReplaceAll(strings.TrimRight(line[2:min(49, len(line))], " \n"), " ", ""))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		shown[side] = append(shown[side], part...)
	}
	for mark, name := range map[byte]string{'>': "client", '<': "server"} {
		head, stream := handOver(t, name)
		if want := head + string(stream); string(shown[mark]) != want {
			t.Errorf("of the %s it shows\n%q\nnot\n%q", name, shown[mark], want)
		}
	}
}
