package sessionstream

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"banger"
)

// vector is one stream of testdata/vectors.json.
type vector struct {
	Name string `json:"name"`
	// Head is that of the HTTP message which hands the connection over to the stream.
	Head   string        `json:"head,omitempty"`
	Hex    string        `json:"hex"`
	Frames []vectorFrame `json:"frames"`
	// Error is what a reader reports after the frames: a code of this format,
	// "truncated", or empty for a clean end.
	Error string `json:"error,omitempty"`
	// ReadOnly says that a writer writes the same frames in other bytes.
	ReadOnly bool `json:"read_only,omitempty"`
}

type vectorFrame struct {
	Channel Channel         `json:"channel"`
	Control json.RawMessage `json:"control,omitempty"` // on channel 0
	Hex     string          `json:"hex,omitempty"`     // on the others
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) == 0 {
		t.Fatal("there are no vectors")
	}
	return vectors
}

// readAll decodes a stream as a vector has it.
func readAll(r io.Reader) (frames []vectorFrame, failure string) {
	frames = []vectorFrame{}
	reader := NewReader(r)
	for {
		h, err := reader.Next()
		if err != nil {
			return frames, failureName(err)
		}
		f := vectorFrame{Channel: h.Channel}
		if h.Channel == ChannelControl {
			c, err := reader.Control()
			if err != nil {
				return frames, failureName(err)
			}
			f.Control, _ = encodeControl(c)
		} else {
			data, err := io.ReadAll(reader)
			if err != nil {
				return frames, failureName(err)
			}
			f.Hex = hex.EncodeToString(data)
		}
		frames = append(frames, f)
	}
}

func failureName(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return string(e.Code)
	}
	switch {
	case errors.Is(err, io.EOF):
		return ""
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "truncated"
	}
	return err.Error()
}

func TestVectorsAreReadAsDescribed(t *testing.T) {
	for _, v := range readVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			stream, err := hex.DecodeString(v.Hex)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range []io.Reader{bytes.NewReader(stream), iotest.OneByteReader(bytes.NewReader(stream)), iotest.DataErrReader(bytes.NewReader(stream))} {
				frames, failure := readAll(r)
				if failure != v.Error {
					t.Errorf("the stream ends with %q, not %q", failure, v.Error)
				}
				if got, want := mustJSON(t, frames), mustJSON(t, v.Frames); got != want {
					t.Errorf("frames are\n%s\nnot\n%s", got, want)
				}
			}
		})
	}
}

// The head of the message that opens a stream is read by a reader of HTTP, however it
// comes, and what that has read ahead is the beginning of the stream.
func TestVectorsBeginBehindTheirHead(t *testing.T) {
	upgrades := map[bool]int{}
	for _, v := range readVectors(t) {
		if v.Head == "" {
			continue
		}
		stream, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		all := append([]byte(v.Head), stream...)
		for _, r := range []io.Reader{bytes.NewReader(all), iotest.OneByteReader(bytes.NewReader(all))} {
			in := bufio.NewReader(r)
			var header http.Header
			isAnswer := strings.HasPrefix(v.Head, "HTTP/")
			if isAnswer {
				answer, err := http.ReadResponse(in, nil)
				if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
					t.Fatalf("%s: %+v, %v", v.Name, answer, err)
				}
				answer.Body.Close()
				header = answer.Header
			} else {
				request, err := http.ReadRequest(in)
				if err != nil || request.ContentLength != 0 {
					t.Fatalf("%s: %+v, %v", v.Name, request, err)
				}
				header = request.Header
			}
			if header.Get("Upgrade") != UpgradeToken || header.Get("Connection") != "Upgrade" {
				t.Errorf("%s: header %v", v.Name, header)
			}
			frames, failure := readAll(in)
			if got, want := mustJSON(t, frames), mustJSON(t, v.Frames); got != want || failure != v.Error {
				t.Errorf("%s: frames are\n%s\nnot\n%s, and then %q", v.Name, got, want, failure)
			}
			upgrades[isAnswer]++
		}
	}
	if upgrades[false] == 0 || upgrades[true] == 0 {
		t.Errorf("there are no vectors for one side: %v", upgrades)
	}
}

func TestVectorsAreWhatTheWriterWrites(t *testing.T) {
	for _, v := range readVectors(t) {
		if v.Error != "" || v.ReadOnly {
			continue
		}
		var stream bytes.Buffer
		w := NewWriter(&stream)
		for _, f := range v.Frames {
			if err := writeVectorFrame(w, f); err != nil {
				t.Fatal(err)
			}
		}
		if got := hex.EncodeToString(stream.Bytes()); got != v.Hex {
			t.Errorf("%s: the writer wrote\n%s\nnot\n%s", v.Name, got, v.Hex)
		}
	}
}

func writeVectorFrame(w *Writer, f vectorFrame) error {
	if f.Channel != ChannelControl {
		data, err := hex.DecodeString(f.Hex)
		if err != nil {
			return err
		}
		return w.WriteData(f.Channel, data)
	}
	c, err := decodeControl(f.Control)
	if err != nil {
		return err
	}
	return w.WriteControl(c)
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		t.Fatal(err)
	}
	return compact.String()
}

func ptr[T any](v T) *T { return &v }

func TestEveryControlArrivesAsItWasSent(t *testing.T) {
	state := banger.SessionState{
		Status: banger.StatusFailed, GuestPID: 7, ExitCode: ptr(3), EndedBy: banger.EndedByExit,
		StdinOffset: 1 << 40, StdinEOF: true, StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Sequence: 9,
	}
	controls := []Control{
		&Attach{Role: RoleObserver},
		&Attach{Role: RoleViewer, AttachID: "a-1", Client: "alice on laptop", Tail: new(0)},
		&Attach{Role: RoleViewer, AttachID: "a-1", Resume: true, From: &banger.LogCursor{Stdout: 1 << 40, Stderr: 3}},
		&Attach{Role: RoleWriter, AttachID: "a_1", NoOutput: true, Window: &Window{Rows: 24, Cols: 80}},
		&Takeover{}, &Takeover{Window: &Window{Rows: 1, Cols: 65535}}, &Resize{Window{Rows: 50, Cols: 132}},
		&Signal{Signal: "SIGINT", To: ToGroup}, &Signal{Signal: "SIGUSR1", To: ToProcess},
		&Stop{GraceMS: new(int64(5000))}, &Stop{}, &EOF{}, &EOF{Offset: new(int64(12))}, &Detach{}, &Ping{},
		&Attached{State: state},
		&Attached{
			State: state, Output: &banger.LogCursor{Stdout: 5}, Stdin: &Grant{Offset: 7, EOF: true, WindowBytes: 262144, LeaseMS: 10000},
			Terminal: &Terminal{Window: Window{Rows: 24, Cols: 80}, Modes: map[int]bool{25: false, 1049: true}, Keypad: true},
		},
		&Granted{Grant{Offset: 9, WindowBytes: 1, LeaseMS: 1}}, &State{state}, &Exit{state},
		&Gap{Stream: banger.StreamStderr, From: 3, To: 9, Reason: "log_limit"}, &Evicted{By: "bob"},
		&StdinAck{Offset: 12, EOF: true}, &Error{Code: CodeOffset, Text: "a \"gap\"", Offset: new(int64(3))}, &Pong{},
	}
	var stream bytes.Buffer
	w := NewWriter(&stream)
	for _, c := range controls {
		if err := w.WriteControl(c); err != nil {
			t.Fatal(err)
		}
	}
	r := NewReader(&stream)
	for _, want := range controls {
		got, err := r.ReadControl()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("sent %#v, received %#v, %v", want, got, err)
		}
	}
	if _, err := r.ReadControl(); !errors.Is(err, io.EOF) {
		t.Fatalf("the stream ends with %v", err)
	}
}

func TestDataOfAnySizeArrivesByteForByte(t *testing.T) {
	for _, size := range []int{1, MaxStdinPayload, MaxPayload, MaxPayload + 1, 2*MaxPayload + 17} {
		data := make([]byte, size)
		rand.Read(data)
		var stream bytes.Buffer
		w := NewWriter(&stream)
		if err := errors.Join(w.WriteData(ChannelStdin, data), w.WriteData(ChannelStderr, data)); err != nil {
			t.Fatal(err)
		}
		got := map[Channel][]byte{}
		r := NewReader(iotest.HalfReader(&stream))
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			payload, err := io.ReadAll(r)
			if err != nil || len(payload) != h.Length {
				t.Fatalf("a frame of %d bytes gave %d, %v", h.Length, len(payload), err)
			}
			got[h.Channel] = append(got[h.Channel], payload...)
		}
		if !bytes.Equal(got[ChannelStdin], data) || !bytes.Equal(got[ChannelStderr], data) {
			t.Errorf("%d bytes did not arrive as they were sent", size)
		}
	}
}

func TestAnUnknownControlIsSkippedAndTheStreamGoesOn(t *testing.T) {
	var stream bytes.Buffer
	w := NewWriter(&stream)
	if err := w.writeFrame(ChannelControl, []byte(`{"dance":{"steps":3}}`)); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteControl(&Ping{}); err != nil {
		t.Fatal(err)
	}
	r := NewReader(&stream)
	_, err := r.ReadControl()
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeUnsupported || !strings.Contains(e.Text, "dance") {
		t.Fatalf("an unknown control gives %v", err)
	}
	if c, err := r.ReadControl(); err != nil || c.controlType() != "ping" {
		t.Fatalf("the control after it gives %v, %v", c, err)
	}
}

func TestUnreadDataIsDropped(t *testing.T) {
	var stream bytes.Buffer
	w := NewWriter(&stream)
	if err := errors.Join(w.WriteData(ChannelStdout, make([]byte, 100000)), w.WriteControl(&Pong{})); err != nil {
		t.Fatal(err)
	}
	r := NewReader(&stream)
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if c, err := r.ReadControl(); err != nil || c.controlType() != "pong" {
		t.Fatalf("the frame after it is %v, %v", c, err)
	}
}

// limitedWriter fails after some bytes.
type limitedWriter struct {
	bytes.Buffer
	left int
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.left -= n
	w.Buffer.Write(p[:n])
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

func TestAWriterThatFailedWritesNothingMore(t *testing.T) {
	out := &limitedWriter{left: 20}
	w := NewWriter(out)
	if err := w.WriteData(ChannelStdout, make([]byte, 100)); err == nil {
		t.Fatal("a short write is no error")
	}
	out.left = 1000
	if err := w.WriteControl(&Ping{}); err == nil || out.Len() != 20 {
		t.Fatalf("after a torn frame: %v, %d bytes", err, out.Len())
	}
}

func TestFramesOfConcurrentWritersDoNotTear(t *testing.T) {
	pr, pw := io.Pipe()
	w := NewWriter(pw)
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for range 50 {
				if err := w.WriteData(ChannelStdout, bytes.Repeat([]byte{byte(i)}, 100+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { writers.Wait(); pw.Close() }()
	r := NewReader(pr)
	count := 0
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil || bytes.Count(data, data[:1]) != h.Length || h.Length != 100+int(data[0]) {
			t.Fatalf("a frame is torn: %x, %v", data, err)
		}
		count++
	}
	if count != 200 {
		t.Errorf("%d frames arrived of 200", count)
	}
}

func TestDataFramesAllocateNothing(t *testing.T) {
	data, buf := make([]byte, 4096), make([]byte, 4096)
	var stream bytes.Buffer
	stream.Grow(1 << 20)
	w, r := NewWriter(&stream), NewReader(&stream)
	allocs := testing.AllocsPerRun(100, func() {
		if err := w.WriteData(ChannelStdout, data); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, buf); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 0 {
		t.Errorf("a frame costs %v allocations", allocs)
	}
}

// FuzzReader feeds any bytes: the reader ends, and what it accepts it would write again.
func FuzzReader(f *testing.F) {
	for _, v := range readVectors(f) {
		stream, err := hex.DecodeString(v.Hex)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(stream)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := NewReader(bytes.NewReader(stream))
		for {
			h, err := r.Next()
			if err != nil {
				return
			}
			if h.Length < 1 || h.Length > MaxPayload {
				t.Fatalf("a frame has %d bytes", h.Length)
			}
			if h.Channel != ChannelControl {
				continue
			}
			c, err := r.Control()
			if err != nil {
				continue
			}
			payload, err := encodeControl(c)
			if err != nil {
				t.Skip("JSON grows when it is written again") // past MaxControlPayload
			}
			again, err := decodeControl(payload)
			if err != nil {
				t.Fatalf("%s is not accepted again: %v", payload, err)
			}
			if second, err := encodeControl(again); err != nil || !bytes.Equal(payload, second) {
				t.Fatalf("%s becomes %s, %v", payload, second, err)
			}
		}
	})
}

func TestReaderTakesWhatComesInAnyPieces(t *testing.T) {
	var stream bytes.Buffer
	w := NewWriter(&stream)
	for n := range 50 {
		if err := errors.Join(w.WriteData(ChannelStdout, bytes.Repeat([]byte{byte(n)}, 1+n*100)), w.WriteControl(&Ping{})); err != nil {
			t.Fatal(err)
		}
	}
	const theLastWithTheEnd = "the last with the end"
	for name, pieces := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader, "halves": iotest.HalfReader,
		theLastWithTheEnd: iotest.DataErrReader,
	} {
		r := NewReader(pieces(bytes.NewReader(stream.Bytes())))
		for n := range 50 {
			if h, err := r.Next(); err != nil || h.Channel != ChannelStdout {
				t.Fatalf("%s: frame %d is %+v, %v", name, n, h, err)
			}
			want := bytes.Repeat([]byte{byte(n)}, 1+n*100)
			if name != theLastWithTheEnd { // which takes no empty buffer, as TestReader has one
				if err := iotest.TestReader(struct{ io.Reader }{r}, want); err != nil {
					t.Errorf("%s: frame %d: %v", name, n, err)
				}
			} else if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: frame %d has %d bytes, %v", name, n, len(got), err)
			}
			if c, err := r.ReadControl(); err != nil || c.controlType() != "ping" {
				t.Fatalf("%s: after frame %d comes %v, %v", name, n, c, err)
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: it ends with %v", name, err)
		}
	}
}
