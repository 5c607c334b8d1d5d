package sessionstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"banger/internal/jsonfault"
)

// Controls returns a zero value of each control, by sender.
func Controls() (client, server []Control) {
	return []Control{&Attach{}, &Takeover{}, &Resize{}, &Signal{}, &Stop{}, &EOF{}, &Detach{}, &Ping{}},
		[]Control{&Attached{}, &Granted{}, &Live{}, &State{}, &Gap{}, &Evicted{}, &Exit{}, &StdinAck{}, &Signalled{}, &Pong{}, &Error{}}
}

// TypeOf returns the name of a control on the wire.
func TypeOf(c Control) string { return c.controlType() }

// newControl returns a zero control of a type, or nil.
func newControl(typ string) Control {
	client, server := Controls()
	for _, c := range slices.Concat(client, server) {
		if c.controlType() == typ {
			return c
		}
	}
	return nil
}

// encodeControl returns the payload of a control's frame.
func encodeControl(c Control) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("cannot encode control %s: %w", c.controlType(), err)
	}
	payload, err := json.Marshal(map[string]Control{c.controlType(): c})
	if err != nil {
		return nil, fmt.Errorf("cannot encode control %s: %w", c.controlType(), err)
	}
	if len(payload) > MaxControlPayload {
		return nil, fmt.Errorf("cannot encode control %s: it has %d bytes; at most %d are allowed",
			c.controlType(), len(payload), MaxControlPayload)
	}
	return payload, nil
}

// decodeControl is strict: exactly one type, nothing after it, and in a client's
// control no unknown member, which would be a wish that is not heard. What a
// newer server adds does no harm.
func decodeControl(payload []byte) (Control, error) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	typ, err := openControl(dec)
	if err != nil {
		return nil, errorf(CodeInvalid, "a control is not an object with one member: %v", err)
	}
	c := newControl(typ)
	if c == nil {
		return nil, errorf(CodeUnsupported, "there is no control %.40q", typ)
	}
	if err := decodeObject(dec, c); err != nil {
		return nil, errorf(CodeInvalid, "control %s: %v", typ, err)
	}
	if end, err := dec.Token(); err != nil || end != json.Delim('}') {
		return nil, errorf(CodeInvalid, "control %s has a second type", typ)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errorf(CodeInvalid, "something follows control %s", typ)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c, nil
}

// openControl reads up to the type.
func openControl(dec *json.Decoder) (typ string, err error) {
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return "", errors.Join(errors.New("it is not an object"), err)
	}
	key, err := dec.Token()
	if err != nil {
		return "", err
	}
	typ, ok := key.(string)
	if !ok {
		return "", errors.New("it is empty")
	}
	return typ, nil
}

// decodeObject refuses null, which encoding/json takes for any object.
func decodeObject(dec *json.Decoder, c Control) error {
	var body json.RawMessage
	if err := dec.Decode(&body); err != nil {
		return err
	}
	if !bytes.HasPrefix(body, []byte("{")) {
		return errors.New("it is not an object")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if fromClient(c) {
		d.DisallowUnknownFields()
	}
	return jsonfault.Describe(d.Decode(c))
}

func fromClient(c Control) bool {
	switch c.(type) {
	case *Attach, *Takeover, *Resize, *Signal, *Stop, *EOF, *Detach, *Ping:
		return true
	}
	return false
}
