package sessionstream

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// pieces is a reader that returns at most the next of these numbers of bytes each time.
type pieces struct {
	r   io.Reader
	rng *rand.Rand
	max int
}

func (p pieces) Read(b []byte) (int, error) {
	return p.r.Read(b[:min(len(b), 1+p.rng.IntN(p.max))])
}

// manyFrames is a stream of frames of all kinds and sizes, behind its preamble.
func manyFrames(rng *rand.Rand) []byte {
	stream := []byte(preamble)
	for n := range 200 {
		payload := bytes.Repeat([]byte{byte(rng.IntN(256))}, 1+rng.IntN(1<<rng.IntN(12)))
		if n == 100 {
			payload = make([]byte, 3*inletBytes)
		}
		channel := ChannelStdout + Channel(rng.IntN(2))
		switch rng.IntN(4) {
		case 0:
			channel, payload = ChannelControl, []byte(` { "pong" : { "new":"`+strings.Repeat("x", rng.IntN(40))+`" } }`)
		case 1:
			payload = payload[:1]
		}
		stream = append(AppendHeader(stream, channel, len(payload)), payload...)
	}
	long := []byte(`{"pong":{"long":"` + strings.Repeat("x", MaxControlPayload-20) + `"}}`)
	return append(append(AppendHeader(stream, ChannelControl, len(long)), long...), AppendHeader(nil, ChannelStdout, 1)...)
}

// joined is what a stream says, however it is cut into frames: its controls to the byte, and
// between them all output of one channel together.
func joined(t *testing.T, r io.Reader) (said [][]byte, end error) {
	t.Helper()
	reader := NewReader(r)
	last := ChannelControl
	for {
		h, err := reader.Next()
		if err != nil {
			return said, err
		}
		payload, err := io.ReadAll(reader)
		if h.Channel == ChannelControl || h.Channel != last {
			said = append(said, []byte{byte(h.Channel)})
		}
		said[len(said)-1] = append(said[len(said)-1], payload...)
		last = h.Channel
		if err != nil {
			return said, err
		}
	}
}

// What an inlet passes on says the same as what it reads, however that comes, and controls
// are passed on to the byte.
func TestInlet_PassesFramesOnAsTheyAre(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	stream := append(manyFrames(rng), 'x')
	want, _ := joined(t, bytes.NewReader(stream))
	for name, r := range map[string]io.Reader{
		"all":       bytes.NewReader(stream),
		"bytes":     iotest.OneByteReader(bytes.NewReader(stream)),
		"with end":  iotest.DataErrReader(bytes.NewReader(stream)),
		"a few":     pieces{bytes.NewReader(stream), rng, 20},
		"packets":   pieces{bytes.NewReader(stream), rng, 40 << 10},
		"large":     pieces{bytes.NewReader(stream), rng, 200 << 10},
		"a network": iotest.HalfReader(bytes.NewReader(stream)),
	} {
		t.Run(name, func(t *testing.T) {
			in, err := newInlet(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			passed := []byte(preamble)
			for {
				seen := 0
				frames, err := in.frames(func(_ Channel, payload []byte) error {
					seen += HeaderBytes + len(payload)
					return nil
				})
				if seen != len(frames) {
					t.Fatalf("it has told of %d bytes and returns %d", seen, len(frames))
				}
				passed = append(passed, frames...)
				if err != nil {
					if !errors.Is(err, io.EOF) || len(frames) > 0 {
						t.Fatalf("it ends with %v, behind %d bytes", err, len(frames))
					}
					break
				}
			}
			got, end := joined(t, bytes.NewReader(passed))
			if !errors.Is(end, io.EOF) || len(got) != len(want) {
				t.Fatalf("%d parts of %d, %v", len(got), len(want), end)
			}
			for n := range want {
				if !bytes.Equal(got[n], want[n]) {
					t.Fatalf("part %d is %.80q, %d bytes, not %.80q, %d bytes", n, got[n], len(got[n]), want[n], len(want[n]))
				}
			}
		})
	}
}

// An echo and its acknowledgement come together. Whoever waits for the echo does not wait
// until the acknowledgement is decoded.
func TestInlet_DataAreGivenOutBeforeAControlBehindThem(t *testing.T) {
	data := append(AppendHeader(nil, ChannelStdout, 2), "ok"...)
	control, err := AppendControl(nil, &StdinAck{Offset: 2})
	if err != nil {
		t.Fatal(err)
	}
	in, err := newInlet(bytes.NewReader(append(append(append([]byte(preamble), data...), control...), data...)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]byte{data, append(bytes.Clone(control), data...)} {
		if got, err := in.frames(func(Channel, []byte) error { return nil }); err != nil || !bytes.Equal(got, want) {
			t.Errorf("it gives out %q, %v, not %q", got, err, want)
		}
	}
}

// A frame for which there is a refusal is not passed on, and what came before it is.
func TestInlet_FrameThatIsRefusedEndsWhatIsPassedOn(t *testing.T) {
	before := append(AppendHeader(nil, ChannelStdout, 2), "ok"...)
	stream := append([]byte(preamble), before...)
	stream = append(append(AppendHeader(stream, ChannelStdin, 2), "no"...), before...)
	in, err := newInlet(bytes.NewReader(stream), nil)
	if err != nil {
		t.Fatal(err)
	}
	refusal := errors.New("refused")
	frames, err := in.frames(func(c Channel, _ []byte) error {
		if c == ChannelStdin {
			return refusal
		}
		return nil
	})
	if !bytes.Equal(frames, before) || !errors.Is(err, refusal) {
		t.Errorf("it returns %q, %v", frames, err)
	}
}

// What no peer may send is refused as Reader does.
func TestInlet_EndsAsTheVectorsSay(t *testing.T) {
	for _, v := range readVectors(t) {
		stream, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []io.Reader{bytes.NewReader(stream), iotest.OneByteReader(bytes.NewReader(stream))} {
			controls := 0
			in, err := newInlet(r, nil)
			for err == nil {
				_, err = in.frames(func(c Channel, payload []byte) error {
					if c != ChannelControl {
						return nil
					}
					_, err := decodeControl(payload)
					if err == nil {
						controls++
					}
					return err
				})
			}
			want := 0
			for _, f := range v.Frames {
				if f.Channel == ChannelControl {
					want++
				}
			}
			if failure := failureName(err); failure != v.Error || controls != want {
				t.Errorf("%s ends with %q behind %d controls, not with %q behind %d", v.Name, failure, controls, v.Error, want)
			}
		}
	}
}
