package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"banger"
	"banger/api"
)

// object is a JSON object of the description; its keys come out sorted.
type object map[string]any

// openAPI is api/openapi.json: the routes of package api, with the schemas of
// the Go types they name (OpenAPI 3.1.0).
func openAPI(source *source) ([]byte, error) {
	schemas := newSchemas(source)
	paths := map[string]object{}
	for _, r := range api.Routes() {
		if paths[r.Path] == nil {
			paths[r.Path] = object{}
		}
		paths[r.Path][strings.ToLower(r.Method)] = operation(schemas, r)
	}
	schemas.answer(api.ErrorBody{})
	schemas.addControls()
	if err := schemas.finish(); err != nil {
		return nil, err
	}
	document := object{
		"openapi": "3.1.0",
		"info": object{
			"title":   "banger",
			"version": "2", // rises when what a client may rely on changes
			"license": object{"name": "MIT", "identifier": "MIT"},
			"description": "Durable sessions in disposable virtual machines. docs/API.md says how a client reaches the daemon and what it does about errors, " +
				"docs/PROTOCOL.md what is spoken on the connection of an attachment, docs/EVENTS.md what events there are.",
		},
		"servers": []object{{
			"url":         "http://banger",
			"description": "HTTP/1.1 on the unix socket that `banger daemon status --json` names. The Host header is ignored.",
		}},
		"security": []object{}, // whoever may open the socket may do everything
		"paths":    paths,
		"components": object{
			"schemas":   schemas.Map(),
			"responses": failures(),
		},
	}
	data, err := json.MarshalIndent(document, "", "  ")
	return append(data, '\n'), err
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

func operation(schemas *schemas, r api.Route) object {
	responses := object{
		strconv.Itoa(r.Status): answer(schemas, r),
		"default":              object{"$ref": "#/components/responses/Other"},
	}
	for _, code := range r.Codes() {
		status := strconv.Itoa(api.StatusOf(code))
		responses[status] = object{"$ref": "#/components/responses/Status" + status}
	}
	if r.Kind == api.KindUpgrade {
		responses["426"] = object{
			"description": "An error with the code `invalid`: the request does not ask for the upgrade. The header Upgrade says to what.",
			"content":     errorContent(),
		}
	}
	op := object{"operationId": r.ID, "summary": r.Summary, "responses": responses}
	if r.Description != "" {
		op["description"] = r.Description
	}
	var parameters []object
	for _, match := range pathParameter.FindAllStringSubmatch(r.Path, -1) {
		parameters = append(parameters, object{
			"name": match[1], "in": "path", "required": true, "schema": object{"type": "string"},
			"description": "An id, a name or a unique prefix of either.",
		})
	}
	for _, p := range r.Query {
		parameter := object{"name": p.Name, "in": "query", "description": p.Doc, "schema": parameterSchema(schemas, p)}
		if p.Required {
			parameter["required"] = true
		}
		parameters = append(parameters, parameter)
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	switch {
	case r.Body != nil:
		op["requestBody"] = object{"required": true, "content": object{api.ContentJSON: object{"schema": schemas.request(r.Body)}}}
	case r.Bytes:
		op["requestBody"] = object{"content": object{api.ContentBytes: object{}}}
	}
	return op
}

func parameterSchema(schemas *schemas, p api.Param) any {
	if p.Values != nil {
		return schemas.form(p.Values)
	}
	schema := map[api.ParamType]object{
		api.ParamText:         {"type": "string"},
		api.ParamBool:         {"type": "boolean"},
		api.ParamInt:          {"type": "integer", "format": "int64"},
		api.ParamMilliseconds: {"type": "integer", "format": "int64", "minimum": 0},
		api.ParamTime:         {"type": "string", "format": "date-time"},
		api.ParamCursor:       {"type": "string"},
		api.ParamTag:          {"type": "string"},
	}[p.Type]
	if p.Min != nil {
		schema["minimum"] = *p.Min
	}
	if p.Max != nil {
		schema["maximum"] = *p.Max
	}
	if p.Repeated {
		return object{"type": "array", "items": schema}
	}
	return schema
}

func answer(schemas *schemas, r api.Route) object {
	switch {
	case r.Kind == api.KindUpgrade:
		return object{"description": fmt.Sprintf("The connection is one of %s from here on; see docs/PROTOCOL.md.", r.Upgrade)}
	case r.Kind == api.KindStream:
		return object{"description": "Lines, each of this form.", "content": object{api.ContentStream: object{"schema": schemas.answer(r.Result)}}}
	case r.Kind == api.KindBytes:
		return object{"description": "Raw bytes.", "content": object{api.ContentBytes: object{}}}
	case r.Result == nil:
		return object{"description": "Done."}
	}
	return object{"description": "Done.", "content": object{api.ContentJSON: object{"schema": schemas.answer(r.Result)}}}
}

func errorContent() object {
	return object{api.ContentJSON: object{"schema": object{"$ref": schemaPrefix + "ErrorBody"}}}
}

// failures are the answers that are no success, by their HTTP status.
func failures() map[string]object {
	body := errorContent()
	codes := map[int][]string{}
	for _, code := range banger.Codes() {
		status := api.StatusOf(code)
		codes[status] = append(codes[status], fmt.Sprintf("`%s`", code))
	}
	all := map[string]object{"Other": {"description": "Any other error: the schema Code has the codes with their statuses.", "content": body}}
	for _, status := range slices.Sorted(maps.Keys(codes)) {
		all["Status"+strconv.Itoa(status)] = object{"description": "An error with the code " + strings.Join(codes[status], " or ") + ".", "content": body}
	}
	return all
}
