//go:build !unit

package store

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"banger"
)

// texts are those that a random record has; JSON changes some.
var texts = []string{"", "text", "é", "\xff", "a\xc3", "\x00", "<&>", "\u2028"}

// randomize sets all that a value has.
func randomize(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(texts[r.IntN(1+r.IntN(len(texts)))])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(r.Int64N(3))
	case reflect.Uint16:
		v.SetUint(r.Uint64N(3))
	case reflect.Float64:
		v.SetFloat(float64(r.IntN(3)) / 2)
	case reflect.Pointer:
		if r.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			randomize(r, v.Elem())
		}
	case reflect.Slice:
		if n := r.IntN(4); n > 0 { // 0: nil
			v.Set(reflect.MakeSlice(v.Type(), n-1, n))
			for i := range v.Len() {
				randomize(r, v.Index(i))
			}
		}
	case reflect.Map:
		if n := r.IntN(4); n > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n - 1 {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				randomize(r, key)
				randomize(r, value)
				v.SetMapIndex(key, value)
			}
		}
	case reflect.Struct:
		if at, ok := v.Addr().Interface().(*time.Time); ok {
			*at = []time.Time{{}, time.Unix(1, 999).UTC(), time.Now(), time.Now().UTC(), time.Unix(5, 0).In(time.FixedZone("", 3600))}[r.IntN(1+r.IntN(5))]
			return
		}
		for i := range v.NumField() {
			randomize(r, v.Field(i))
		}
	default:
		panic(fmt.Sprint("no random ", v.Type()))
	}
}

// Whatever a session has, also what it is going to have.
func TestAsRead_IsWhatAReaderOfTheDocumentSees(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 5000 {
		var x banger.Session
		if n%2 == 0 {
			randomize(r, reflect.ValueOf(&x).Elem())
		} else { // one thing at a time, so that nothing hides it
			v := reflect.ValueOf(&x).Elem()
			field := v.Field(r.IntN(v.NumField()))
			if field.Kind() == reflect.Struct && field.Type() != reflect.TypeFor[time.Time]() {
				field = field.Field(r.IntN(field.NumField()))
			}
			randomize(r, field)
		}
		document, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		want, err := decodeSession(document)
		if err != nil {
			t.Fatal(err)
		}
		got, err := asRead(x, document)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s (-read +got):\n%s", document, cmp.Diff(want, got))
		}
	}
}
