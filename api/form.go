package api

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"banger"
)

// form is how the values of a type are written as parameters.
type form struct {
	param    ParamType
	repeated bool
	wanted   string // what a text has to be, for messages
	encode   func(reflect.Value) []string
	decode   func(field reflect.Value, text string) bool // with repeated it adds
}

// maxMilliseconds is the longest time.Duration.
const maxMilliseconds = math.MaxInt64 / int64(time.Millisecond)

// formOf returns the form of a type. One that has none is a mistake in a type of a request.
func formOf(t reflect.Type) form {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return form{ParamMilliseconds, false, "a number of milliseconds such as 10000, which is not negative", encodeDuration, decodeDuration}
	case t == reflect.TypeFor[time.Time]():
		return form{ParamTime, false, "a time such as 2026-01-02T15:04:05Z (RFC 3339)", encodeTime, decodeTime}
	case t == reflect.TypeFor[banger.LogCursor]():
		return form{ParamCursor, false, "EPOCH:STDOUT,STDERR or STDOUT,STDERR", encodeCursor, decodeCursor}
	case t == reflect.TypeFor[map[string]string]():
		return form{ParamTag, true, "KEY=VALUE", encodeTags, decodeTag}
	case t == reflect.TypeFor[[]string]():
		return form{ParamText, true, "a text", encodeTexts, decodeTexts}
	case t.Kind() == reflect.Bool:
		return form{ParamBool, false, "true or false", encodeBool, decodeBool}
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		return form{ParamInt, false, "an integer of at most 64 bits", encodeInt, decodeInt}
	case t.Kind() == reflect.String:
		return form{ParamText, false, "a text", encodeText, decodeText}
	}
	panic(fmt.Sprintf("%v cannot be a parameter", t))
}

// A duration is rounded up: one that is not 0 stays so.
func encodeDuration(v reflect.Value) []string {
	d := time.Duration(v.Int())
	return []string{strconv.FormatInt(int64((d+time.Millisecond-1)/time.Millisecond), 10)}
}

func decodeDuration(field reflect.Value, text string) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > maxMilliseconds {
		return false
	}
	field.SetInt(n * int64(time.Millisecond))
	return true
}

func encodeTime(v reflect.Value) []string {
	return []string{v.Interface().(time.Time).UTC().Format(time.RFC3339Nano)}
}

func decodeTime(field reflect.Value, text string) bool {
	t, err := time.Parse(time.RFC3339Nano, text)
	field.Set(reflect.ValueOf(t))
	return err == nil
}

func encodeCursor(v reflect.Value) []string {
	return []string{FormatCursor(v.Interface().(banger.LogCursor))}
}

func decodeCursor(field reflect.Value, text string) bool {
	cursor, err := ParseCursor(text)
	field.Set(reflect.ValueOf(cursor))
	return err == nil
}

func encodeTags(v reflect.Value) (texts []string) {
	for key, value := range v.Interface().(map[string]string) {
		texts = append(texts, key+"="+value)
	}
	return texts
}

func decodeTag(field reflect.Value, text string) bool {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return false
	}
	if field.IsNil() {
		field.Set(reflect.ValueOf(map[string]string{}))
	}
	field.SetMapIndex(reflect.ValueOf(key), reflect.ValueOf(value))
	return true
}

func encodeTexts(v reflect.Value) []string { return v.Interface().([]string) }

func decodeTexts(field reflect.Value, text string) bool {
	field.Set(reflect.Append(field, reflect.ValueOf(text)))
	return true
}

func encodeBool(v reflect.Value) []string { return []string{strconv.FormatBool(v.Bool())} }

func decodeBool(field reflect.Value, text string) bool {
	field.SetBool(text == "true")
	return text == "true" || text == "false"
}

func encodeInt(v reflect.Value) []string { return []string{strconv.FormatInt(v.Int(), 10)} }

func decodeInt(field reflect.Value, text string) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || field.OverflowInt(n) {
		return false
	}
	field.SetInt(n)
	return true
}

func encodeText(v reflect.Value) []string { return []string{v.String()} }

func decodeText(field reflect.Value, text string) bool {
	field.SetString(text)
	return true
}
