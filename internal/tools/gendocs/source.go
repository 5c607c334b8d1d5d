package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
)

// source is what the comments of this module's packages say of the types that the API
// speaks in. Keys are those of reflect: banger.VM, banger.VM.Name.
type source struct {
	types     map[string]string
	fields    map[string]string
	constants map[string][]constant // of a string type, in their order
	names     map[string]bool       // of the constants in Go
}

// constant is a value of a string type.
type constant struct{ value, doc string }

// readSource reads the packages of the API's types, by the directory of the module.
func readSource(root string) (*source, error) {
	s := &source{types: map[string]string{}, fields: map[string]string{}, constants: map[string][]constant{}, names: map[string]bool{}}
	for _, name := range []string{"banger", "api", "sessionstream"} {
		dir := strings.TrimPrefix(name, "banger") // which lies at the root
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				return nil, err
			}
			s.add(name, parsed)
		}
	}
	if len(s.types) == 0 {
		return nil, fmt.Errorf("there are no types below %s", root)
	}
	return s, nil
}

func (s *source) add(pkg string, file *ast.File) {
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				doc := sentence(spec.Doc, spec.Comment)
				if doc == "" && len(general.Specs) == 1 {
					doc = sentence(general.Doc)
				}
				s.addType(pkg+"."+spec.Name.Name, doc, spec.Type)
			case *ast.ValueSpec:
				doc := sentence(spec.Doc, spec.Comment)
				if doc == "" && len(general.Specs) == 1 {
					doc = sentence(general.Doc)
				}
				s.addConstant(pkg, doc, spec)
			}
		}
	}
}

func (s *source) addType(name, doc string, typ ast.Expr) {
	s.types[name] = doc
	structure, ok := typ.(*ast.StructType)
	if !ok {
		return
	}
	for _, field := range structure.Fields.List {
		for _, n := range field.Names {
			s.fields[name+"."+n.Name] = sentence(field.Doc, field.Comment)
		}
	}
}

// addConstant adds a constant if it has a type and is written as a string.
func (s *source) addConstant(pkg, doc string, spec *ast.ValueSpec) {
	if len(spec.Values) != 1 {
		return
	}
	literal, ok := spec.Values[0].(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return
	}
	typ := ""
	switch t := spec.Type.(type) {
	case *ast.Ident:
		typ = pkg + "." + t.Name
	case *ast.SelectorExpr:
		typ = fmt.Sprintf("%s.%s", t.X, t.Sel)
	default:
		return
	}
	name := spec.Names[0].Name
	s.names[name] = true
	doc = strings.TrimPrefix(doc, name+" is ")
	if value, err := strconv.Unquote(literal.Value); err == nil {
		s.constants[typ] = append(s.constants[typ], constant{value, doc})
	}
}

// sentence is the first paragraph of the first comment that there is, as one line. What
// follows it is for readers of the Go code.
func sentence(comments ...*ast.CommentGroup) string {
	for _, c := range comments {
		paragraph, _, _ := strings.Cut(c.Text(), "\n\n")
		if text := strings.Join(strings.Fields(paragraph), " "); text != "" {
			return text
		}
	}
	return ""
}

// typeDoc is the comment of a type.
func (s *source) typeDoc(t reflect.Type) string { return s.types[t.String()] }

// fieldDoc is what is said of a field: its tag doc, else its comment, else the comment
// of its type, if that is one of ours.
func (s *source) fieldDoc(owner reflect.Type, f reflect.StructField) string {
	if doc := f.Tag.Get("doc"); doc != "" {
		return doc
	}
	if doc := s.fields[owner.String()+"."+f.Name]; doc != "" {
		if rest, ok := strings.CutPrefix(doc, f.Name+" "); ok {
			return jsonName(f) + " " + rest // as those who read it know it
		}
		return doc
	}
	t := f.Type
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return s.typeDoc(t)
}
