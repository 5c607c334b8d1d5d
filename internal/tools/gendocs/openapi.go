package main

import (
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"banger"
	"banger/api"
)

// object is a JSON object of the description; its keys come out sorted.
type object map[string]any

// openAPI is api/openapi.json: the routes of package api, with the schemas of
// the Go types they name (OpenAPI 3.1.0).
func openAPI() ([]byte, error) {
	schemas := newSchemas()
	paths := map[string]object{}
	for _, r := range api.Routes() {
		if paths[r.Path] == nil {
			paths[r.Path] = object{}
		}
		paths[r.Path][strings.ToLower(r.Method)] = operation(schemas, r)
	}
	schemas.loosen()
	document := object{
		"openapi": "3.1.0",
		"info": object{
			"title":       "banger",
			"version":     "1",
			"description": "Durable sessions in disposable virtual machines. Served on a unix socket; see docs/ARCHITECTURE.md.",
		},
		"paths":      paths,
		"components": object{"schemas": schemas.Map()},
	}
	data, err := json.MarshalIndent(document, "", "  ")
	return append(data, '\n'), err
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

func operation(schemas *schemas, r api.Route) object {
	op := object{
		"operationId": r.ID,
		"summary":     r.Summary,
		"responses": object{
			strconv.Itoa(r.Status): answer(schemas, r),
			"default": object{
				"description": "The error.",
				"content":     object{api.ContentJSON: object{"schema": schemas.of(api.ErrorBody{})}},
			},
		},
	}
	var parameters []object
	for _, match := range pathParameter.FindAllStringSubmatch(r.Path, -1) {
		parameters = append(parameters, object{
			"name": match[1], "in": "path", "required": true, "schema": object{"type": "string"},
			"description": "An id, a name or a unique prefix of either.",
		})
	}
	for _, p := range r.Query {
		parameters = append(parameters, object{"name": p.Name, "in": "query", "description": p.Doc, "schema": parameterSchema(p)})
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	switch {
	case r.Body != nil:
		schemas.requests = append(schemas.requests, reflect.TypeOf(r.Body).Name())
		op["requestBody"] = object{"required": true, "content": object{api.ContentJSON: object{"schema": schemas.of(r.Body)}}}
	case r.Bytes:
		op["requestBody"] = object{"content": object{api.ContentBytes: object{}}}
	}
	return op
}

func parameterSchema(p api.Param) object {
	schema := map[api.ParamType]object{
		api.ParamText:     {"type": "string"},
		api.ParamBool:     {"type": "boolean"},
		api.ParamInt:      {"type": "integer", "format": "int64"},
		api.ParamDuration: {"type": "string", "examples": []string{"1m30s"}},
		api.ParamTime:     {"type": "string", "format": "date-time"},
	}[p.Type]
	if p.Repeated {
		return object{"type": "array", "items": schema}
	}
	return schema
}

func answer(schemas *schemas, r api.Route) object {
	switch {
	case r.Kind == api.KindStream:
		return object{"description": "Lines, each of this form.", "content": object{api.ContentStream: object{"schema": schemas.of(r.Result)}}}
	case r.Kind == api.KindBytes:
		return object{"description": "Raw bytes.", "content": object{api.ContentBytes: object{}}}
	case r.Result == nil:
		return object{"description": "Done."}
	}
	return object{"description": "Done.", "content": object{api.ContentJSON: object{"schema": schemas.of(r.Result)}}}
}

// schemas makes JSON schemas from Go types.
type schemas struct {
	huma.Registry
	requests []string // names of types that are sent to the daemon
}

func newSchemas() *schemas {
	s := &schemas{Registry: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)}
	s.RegisterTypeAlias(reflect.TypeFor[banger.ByteString](), reflect.TypeFor[byteString]())
	s.RegisterTypeAlias(reflect.TypeFor[banger.Status](), reflect.TypeFor[status]())
	s.RegisterTypeAlias(reflect.TypeFor[banger.VMState](), reflect.TypeFor[vmState]())
	return s
}

func (s *schemas) of(value any) *huma.Schema {
	return s.Schema(reflect.TypeOf(value), true, "")
}

// loosen makes the schemas say what is true: only requests refuse fields that
// they do not know, since later versions answer more; and a line of a stream
// has some of its fields.
func (s *schemas) loosen() {
	strict := map[string]bool{}
	for _, name := range s.requests {
		s.markStrict(name, strict)
	}
	for name, schema := range s.Map() {
		if !strict[name] && schema.AdditionalProperties == false {
			schema.AdditionalProperties = nil
		}
		if strings.HasSuffix(name, "Line") {
			schema.Required = nil
		}
	}
}

// markStrict adds a type and all types that its fields refer to.
func (s *schemas) markStrict(name string, strict map[string]bool) {
	if strict[name] {
		return
	}
	strict[name] = true
	schema := s.Map()[name]
	for _, field := range slices.Sorted(maps.Keys(schema.Properties)) {
		if ref := schema.Properties[field].Ref; ref != "" {
			s.markStrict(ref[strings.LastIndexByte(ref, '/')+1:], strict)
		}
	}
}

// byteString, status and vmState are the schemas of the types of package banger
// that say more in JSON than their Go kind.
type (
	byteString string
	status     string
	vmState    string
)

// Schema implements huma.SchemaProvider.
func (byteString) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeString},
		{
			Type: huma.TypeObject, Description: "bytes that are not UTF-8", Required: []string{"base64"},
			Properties: map[string]*huma.Schema{"base64": {Type: huma.TypeString, ContentEncoding: "base64"}},
		},
	}}
}

// Schema implements huma.SchemaProvider.
func (status) Schema(huma.Registry) *huma.Schema { return enum(banger.Statuses()) }

// Schema implements huma.SchemaProvider.
func (vmState) Schema(huma.Registry) *huma.Schema { return enum(banger.VMStates()) }

func enum[S ~string](values []S) *huma.Schema {
	schema := &huma.Schema{Type: huma.TypeString}
	for _, v := range values {
		schema.Enum = append(schema.Enum, string(v))
	}
	return schema
}
