package main

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"banger"
	"banger/api"
	"banger/sessionstream"
)

const schemaPrefix = "#/components/schemas/"

// schemas makes JSON schemas from Go types, with what their comments say.
type schemas struct {
	huma.Registry
	source   *source
	requests []string // names of types that are sent to the daemon
	answers  []string // names of types that it answers with
}

func newSchemas(source *source) *schemas {
	s := &schemas{Registry: huma.NewMapRegistry(schemaPrefix, schemaName), source: source}
	s.RegisterTypeAlias(reflect.TypeFor[banger.ByteString](), reflect.TypeFor[string]())
	return s
}

// schemaName sets the types of a session's stream apart from those of HTTP.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if strings.HasSuffix(t.PkgPath(), "/sessionstream") {
		return "Stream" + name
	}
	return name
}

// request and answer return the schema of a type that goes the one way or the other.
func (s *schemas) request(value any) *huma.Schema {
	s.requests = append(s.requests, schemaName(reflect.TypeOf(value), ""))
	return s.Schema(reflect.TypeOf(value), true, "")
}

func (s *schemas) answer(value any) *huma.Schema {
	s.answers = append(s.answers, schemaName(reflect.TypeOf(value), ""))
	return s.Schema(reflect.TypeOf(value), true, "")
}

// form returns the schema of a parameter of a string type, with its constants if it has some.
func (s *schemas) form(value any) *huma.Schema {
	t := reflect.TypeOf(value)
	if !s.addEnum(t) {
		return &huma.Schema{Type: huma.TypeString}
	}
	return &huma.Schema{Ref: schemaPrefix + schemaName(t, "")}
}

// addControls adds what is said on an attachment's connection, and two schemas for all
// that either side says.
func (s *schemas) addControls() {
	client, server := sessionstream.Controls()
	s.Map()["StreamClientControl"] = s.controls("What a client sends on channel 0 of an attachment; see docs/PROTOCOL.md.", client, s.request)
	s.Map()["StreamServerControl"] = s.controls("What the server sends on channel 0 of an attachment; see docs/PROTOCOL.md.", server, s.answer)
}

func (s *schemas) controls(doc string, controls []sessionstream.Control, schema func(any) *huma.Schema) *huma.Schema {
	all := &huma.Schema{Type: huma.TypeObject, Description: doc}
	for _, c := range controls {
		name := sessionstream.TypeOf(c)
		member := schema(reflect.ValueOf(c).Elem().Interface())
		member.Description = s.source.typeDoc(reflect.TypeOf(c).Elem())
		all.OneOf = append(all.OneOf, &huma.Schema{
			Type: huma.TypeObject, Required: []string{name}, AdditionalProperties: false, Properties: map[string]*huma.Schema{name: member},
		})
	}
	return all
}

// finish makes the schemas say what is true, and says what they mean. It fails if
// something has no description.
func (s *schemas) finish() error {
	sent, answered := map[string]bool{}, map[string]bool{}
	for _, name := range s.requests {
		s.reach(name, sent)
	}
	for _, name := range s.answers {
		s.reach(name, answered)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Map())) {
		schema, t := s.Map()[name], s.TypeFromRef(schemaPrefix+name)
		if t == nil {
			continue
		}
		schema.Description = s.source.typeDoc(t)
		for owner, f := range fields(t) {
			s.describe(schema, owner, f)
		}
		// Only what goes to the daemon alone is closed: later versions answer more.
		if !sent[name] || answered[name] {
			schema.AdditionalProperties = nil
		}
		switch {
		case strings.HasSuffix(name, "Line"):
			schema.Required = nil // a line has some of its members
		case slices.Contains(s.requests, name) && !strings.HasPrefix(name, "Stream"):
			schema.Required = required(t)
		}
	}
	return s.check()
}

// reach adds a type and all types that its fields refer to.
func (s *schemas) reach(name string, reached map[string]bool) {
	schema := s.Map()[name]
	if reached[name] || schema == nil {
		return
	}
	reached[name] = true
	for _, property := range schema.Properties {
		for _, part := range []*huma.Schema{property, property.Items} {
			if part != nil && part.Ref != "" {
				s.reach(strings.TrimPrefix(part.Ref, schemaPrefix), reached)
			}
		}
	}
}

// required returns the members that a request must have.
func required(t reflect.Type) (names []string) {
	for _, f := range fields(t) {
		if f.Tag.Get("required") == "true" {
			names = append(names, jsonName(f))
		}
	}
	slices.Sort(names)
	return names
}

// describe completes the schema of one property.
func (s *schemas) describe(schema *huma.Schema, owner reflect.Type, f reflect.StructField) {
	property := schema.Properties[jsonName(f)]
	if property == nil {
		return
	}
	s.name(property, f.Type)
	if f.Type.Kind() == reflect.Slice || strings.Contains(f.Tag.Get("json"), ",omit") {
		property.Nullable = false
	}
	property.Description = s.source.fieldDoc(owner, f)
}

// name replaces the string of a type that has a schema of its own by a reference.
func (s *schemas) name(schema *huma.Schema, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer:
		s.name(schema, t.Elem())
	case reflect.Slice:
		if schema.Items != nil {
			s.name(schema.Items, t.Elem())
		}
	case reflect.Map:
		if values, ok := schema.AdditionalProperties.(*huma.Schema); ok {
			s.name(values, t.Elem())
		}
	case reflect.String:
		switch {
		case t == reflect.TypeFor[banger.ByteString]():
			s.Map()["ByteString"] = s.byteString()
		case !s.addEnum(t):
			return
		}
		*schema = huma.Schema{Ref: schemaPrefix + schemaName(t, "")}
	}
}

// addEnum adds the schema of a string type that has constants.
func (s *schemas) addEnum(t reflect.Type) bool {
	constants := s.source.constants[t.String()]
	if len(constants) == 0 {
		return false
	}
	schema := &huma.Schema{Type: huma.TypeString, Description: s.source.typeDoc(t)}
	for _, c := range constants {
		doc := c.doc
		if t == reflect.TypeFor[banger.Code]() {
			doc = fmt.Sprintf("HTTP status %d: %s", api.StatusOf(banger.Code(c.value)), doc)
		}
		schema.Enum = append(schema.Enum, c.value)
		schema.Description += fmt.Sprintf("\n- `%s`", c.value)
		if doc != "" {
			schema.Description += ": " + doc
		}
	}
	schema.Description += "\n\nLater versions may have more values."
	s.Map()[schemaName(t, "")] = schema
	return true
}

// byteString is the schema of banger.ByteString, which says more in JSON than its kind.
func (s *schemas) byteString() *huma.Schema {
	return &huma.Schema{Description: s.source.typeDoc(reflect.TypeFor[banger.ByteString]()), OneOf: []*huma.Schema{
		{Type: huma.TypeString, Description: "Bytes that are UTF-8."},
		{
			Type: huma.TypeObject, Description: "Bytes that are not UTF-8.", Required: []string{"base64"},
			Properties: map[string]*huma.Schema{"base64": {Type: huma.TypeString, ContentEncoding: "base64", Description: "The bytes."}},
		},
	}}
}

// ofGo finds a name that means nothing to somebody who reads JSON.
func (s *schemas) ofGo(doc string) string {
	for _, name := range identifier.FindAllString(doc, -1) {
		if s.source.names[name] || strings.Contains(name, ".") {
			return name
		}
	}
	return ""
}

var identifier = regexp.MustCompile(`\b[A-Z]\w+(\.[A-Z]\w+)?`)

// check finds what has no description, or one that speaks of Go.
func (s *schemas) check() error {
	var errs []error
	look := func(what, doc string) {
		if doc == "" {
			errs = append(errs, fmt.Errorf("%s has no description: give its Go type or field a comment or a tag doc", what))
		}
		if name := s.ofGo(doc); name != "" {
			errs = append(errs, fmt.Errorf("the description of %s speaks of %s, which is a name of Go: %s", what, name, doc))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Map())) {
		schema := s.Map()[name]
		look("schema "+name, schema.Description)
		for _, property := range slices.Sorted(maps.Keys(schema.Properties)) {
			look("property "+name+"."+property, schema.Properties[property].Description)
		}
	}
	return errors.Join(errs...)
}

// fields yields the fields of a type as JSON has them, those of embedded types too, each
// with the type that declares it.
func fields(t reflect.Type) func(yield func(reflect.Type, reflect.StructField) bool) {
	return func(yield func(reflect.Type, reflect.StructField) bool) { eachField(t, yield) }
}

func eachField(t reflect.Type, yield func(reflect.Type, reflect.StructField) bool) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		inner := f.Type
		for inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case f.Anonymous && inner.Kind() == reflect.Struct:
			if !eachField(inner, yield) {
				return false
			}
		case f.IsExported() && jsonName(f) != "-":
			if !yield(t, f) {
				return false
			}
		}
	}
	return true
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
