package api

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"banger"
)

// Param is a parameter of the query string. It is a field of the type of a request, with
// the tags
//
//	query:"name"
//	doc:"what it does"
//	required:"true"    a request without it is refused
//	default:"200"      what it is if it is not given, instead of the zero value
//	min:"1" max:"9"    bounds of a number; those of a duration are in milliseconds
//	without:"other"    the two exclude each other
//	hint:"next step"   for whoever gives a value out of bounds
//
// A field with the tag path:"name" replaces {name} in the path, one with body:"json" is the
// body, and a reader with body:"bytes" is a body that is taken as it is. A struct without
// such a tag lends its fields; any other field without one is not of the API.
type Param struct {
	Name     string
	Type     ParamType
	Doc      string
	Repeated bool // may be given more than once
	Required bool
	Values   any    // zero value of a string type of its own, whose constants, if it has some, are what can be given; else nil
	Default  string // if it is not given; empty for none
	Min, Max *int64 // nil for no bound
	Without  string // the parameter that it excludes; empty for none
	hint     string
	form     form
	index    []int
}

// ParamType is the form of a parameter.
type ParamType string

// The forms of parameters.
const (
	ParamText         ParamType = "text"
	ParamBool         ParamType = "bool"         // true or false
	ParamInt          ParamType = "int"          // 64 bits
	ParamMilliseconds ParamType = "milliseconds" // an integer that is not negative
	ParamTime         ParamType = "time"         // RFC 3339
	ParamCursor       ParamType = "cursor"       // EPOCH:STDOUT,STDERR, or without the epoch
	ParamTag          ParamType = "tag"          // KEY=VALUE
)

// request is where the fields of a request's type are in HTTP.
type request struct {
	of    reflect.Type
	path  []segment
	query []Param
	body  []int // index of the field; nil if there is none
	bytes bool  // the body is taken as it is
}

// segment is a field that stands in the path.
type segment struct {
	name  string
	index []int
}

func requestOf(t reflect.Type) *request {
	r := &request{of: t}
	r.add(t, nil)
	return r
}

// add adds the fields of a struct that lies at an index. A type that cannot be a request
// is a mistake in this package, which every start of every program shows.
func (r *request) add(t reflect.Type, at []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(slices.Clone(at), i)
		path, query, body := f.Tag.Get("path"), f.Tag.Get("query"), f.Tag.Get("body")
		switch {
		case path != "":
			r.path = append(r.path, segment{path, index})
		case query != "":
			r.query = append(r.query, newParam(query, f, index))
		case body != "":
			r.body, r.bytes = index, body == "bytes"
		case f.Type.Kind() == reflect.Struct:
			r.add(f.Type, index)
		}
	}
}

func newParam(name string, f reflect.StructField, index []int) Param {
	p := Param{
		Name: name, Doc: f.Tag.Get("doc"), Required: f.Tag.Get("required") == "true", Default: f.Tag.Get("default"),
		Min: bound(f.Tag.Get("min")), Max: bound(f.Tag.Get("max")), Without: f.Tag.Get("without"), hint: f.Tag.Get("hint"), index: index,
	}
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	p.form = formOf(t)
	p.Type, p.Repeated = p.form.param, p.form.repeated
	if t.Kind() == reflect.String && t.Name() != "string" {
		p.Values = reflect.Zero(t).Interface()
	}
	return p
}

func bound(tag string) *int64 {
	if tag == "" {
		return nil
	}
	n, err := strconv.ParseInt(tag, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("a bound of a parameter is %q: %v", tag, err))
	}
	return &n
}

// encodePath returns the path of a request for a pattern.
func (r *request) encodePath(pattern string, v reflect.Value) (string, error) {
	refs := make([]string, len(r.path))
	for i, p := range r.path {
		if refs[i] = v.FieldByIndex(p.index).String(); refs[i] == "" {
			return "", banger.Errorf(banger.CodeInvalid, "empty name or id")
		}
	}
	return Path(pattern, refs...), nil
}

// encodeQuery returns the parameters of a request that differ from what they are if they
// are not given.
func (r *request) encodeQuery(v reflect.Value) url.Values {
	query := url.Values{}
	for _, p := range r.query {
		field := v.FieldByIndex(p.index)
		given := field.Kind() == reflect.Pointer || p.Required || p.Default != ""
		if field.Kind() == reflect.Pointer {
			if field.IsNil() {
				continue
			}
			field = field.Elem()
		} else if field.IsZero() && !given {
			continue
		}
		for _, text := range p.form.encode(field) {
			if p.Default == "" || text != p.Default && text != "" {
				query.Add(p.Name, text)
			}
		}
	}
	for _, p := range r.query {
		if p.Without != "" && query.Has(p.Without) {
			query.Del(p.Name)
		}
	}
	return query
}

// decodeQuery sets the fields of v by the parameters that are given, and checks them.
func (r *request) decodeQuery(given url.Values, v reflect.Value) error {
	for name, texts := range given {
		i := slices.IndexFunc(r.query, func(p Param) bool { return p.Name == name })
		if i < 0 {
			return banger.Errorf(banger.CodeInvalid, "unknown parameter %q", name).WithHint("%s", r.known())
		}
		if len(texts) > 1 && !r.query[i].Repeated {
			return banger.Errorf(banger.CodeInvalid, "cannot use parameter %q: it is given %d times", name, len(texts))
		}
	}
	for _, p := range r.query {
		if p.Without != "" && given.Has(p.Name) && given.Has(p.Without) {
			return banger.Errorf(banger.CodeInvalid, "parameters %s and %s exclude each other", p.Without, p.Name)
		}
		texts, ok := given[p.Name]
		switch {
		case !ok && p.Required:
			return banger.Errorf(banger.CodeInvalid, "parameter %s is missing: %s", p.Name, p.Doc)
		case !ok && p.Default == "":
			continue
		case !ok, p.Default != "" && p.Type == ParamText && texts[0] == "":
			texts = []string{p.Default}
		}
		if err := p.decode(texts, v.FieldByIndex(p.index)); err != nil {
			return err
		}
	}
	return nil
}

// decode sets a field to what is given.
func (p Param) decode(texts []string, field reflect.Value) error {
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	for _, text := range texts {
		if !p.form.decode(field, text) {
			return p.refuse(text, p.form.wanted)
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && (p.Type == ParamInt || p.Type == ParamMilliseconds) {
			if p.Min != nil && n < *p.Min {
				return p.refuse(text, fmt.Sprintf("at least %d", *p.Min))
			}
			if p.Max != nil && n > *p.Max {
				return p.refuse(text, fmt.Sprintf("at most %d", *p.Max))
			}
		}
	}
	return nil
}

func (p Param) refuse(text, wanted string) error {
	err := banger.Errorf(banger.CodeInvalid, "cannot use %q as parameter %s: it has to be %s", text, p.Name, wanted)
	if p.hint != "" {
		return err.WithHint("%s", p.hint)
	}
	return err
}

// known says which parameters there are.
func (r *request) known() string {
	if len(r.query) == 0 {
		return "it takes no parameters"
	}
	var names []string
	for _, p := range r.query {
		names = append(names, p.Name)
	}
	return "its parameters are: " + strings.Join(names, ", ")
}
