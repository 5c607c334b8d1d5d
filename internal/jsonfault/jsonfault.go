// Package jsonfault says what is wrong with JSON from outside in the words of JSON.
// The errors of encoding/json name the Go types that it was read into, which mean
// nothing to whoever sent it.
package jsonfault

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Describe returns err, an error of encoding/json or one that wraps it, in the words
// of JSON. Any other error is returned as it is.
func Describe(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		what := "it"
		if path := member(wrong.Field); path != "" {
			what = "member " + path
		}
		return fmt.Errorf("%s is %s and has to be %s", what, value(wrong.Value), kind(wrong.Type))
	}
	if err != nil {
		// Of an unknown member encoding/json has no type of error, only the text.
		if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return fmt.Errorf("there is no member %s", name)
		}
	}
	return err
}

// member is the path of a member. encoding/json puts the names of embedded Go types in
// between; those of our members have no capitals.
func member(field string) string {
	names := slices.DeleteFunc(strings.Split(field, "."), func(name string) bool {
		return name == "" || name[0] >= 'A' && name[0] <= 'Z'
	})
	return strings.Join(names, ".")
}

// value is what was sent, as encoding/json names it.
func value(name string) string {
	if literal, ok := strings.CutPrefix(name, "number "); ok { // where an integer was wanted
		return literal
	}
	switch name {
	case "bool":
		return "true or false"
	case "object", "array":
		return "an " + name
	}
	return "a " + name
}

// kind is the form in which a value of a Go type is sent.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "an integer" + bounds(t)
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "a string in base64"
		}
		return "an array"
	case reflect.Pointer:
		return kind(t.Elem())
	}
	return "an object"
}

// bounds tells the range of an integer that has less than 64 bits.
func bounds(t reflect.Type) string {
	switch {
	case t.Bits() == 64:
		return ""
	case t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint64:
		return fmt.Sprintf(" from 0 to %d", uint64(1)<<t.Bits()-1)
	}
	return fmt.Sprintf(" from %d to %d", -int64(1)<<(t.Bits()-1), int64(1)<<(t.Bits()-1)-1)
}
