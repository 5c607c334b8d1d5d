package sessiondir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"banger"
	"banger/internal/guestapi"
)

// maxSpecValues bounds the names and values in a spec: each takes a few bytes there and
// many more once it is decoded. A launch has banger.MaxLaunchStrings of its own.
const maxSpecValues = 2*banger.MaxLaunchStrings + 1024

// ReadSpec reads spec.json. Errors are as those of ReadState.
func ReadSpec(fsys fs.FS) (guestapi.GuestLaunch, error) {
	data, _, err := readFile(fsys, SpecName, MaxSpecBytes)
	if err != nil {
		return guestapi.GuestLaunch{}, err
	}
	return ParseSpec(data)
}

// ParseSpec decodes the content of spec.json and holds little more than that, whatever
// it is. What makes no sense is CodeCorrupt.
func ParseSpec(data []byte) (guestapi.GuestLaunch, error) {
	var l guestapi.GuestLaunch
	err := countValues(data)
	if err == nil {
		err = json.Unmarshal(data, &l)
	}
	switch {
	case err != nil:
		return guestapi.GuestLaunch{}, corrupt(SpecName, err)
	case !banger.ValidID(string(l.ID)):
		return guestapi.GuestLaunch{}, corrupt(SpecName, fmt.Errorf("%.40q is not a session id", string(l.ID)))
	}
	return l, nil
}

// countValues refuses a document with more values than a spec can have.
func countValues(data []byte) error {
	in := json.NewDecoder(bytes.NewReader(data))
	for range maxSpecValues {
		if _, err := in.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return errors.New("it has more values than a launch can have")
}
