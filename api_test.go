package banger_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var updateAPI = flag.Bool("update-api", false, "rewrite testdata/api.txt")

// A change of what the public packages export is a change for whoever uses them: it is
// seen in testdata/api.txt, regenerated with
//
//	go test -run TestAPI_IsWhatIsListed . -update-api
//
// and described in CHANGELOG.md.
func TestAPI_IsWhatIsListed(t *testing.T) {
	var listed bytes.Buffer
	for _, dir := range []string{".", "api", "client", "sessionstream"} {
		fmt.Fprintf(&listed, "# %s\n\n", dir)
		writeAPI(t, &listed, dir)
	}
	golden := filepath.Join("testdata", "api.txt")
	if *updateAPI {
		if err := os.WriteFile(golden, listed.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := strings.Split(listed.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(wanted)) {
		if i >= len(got) || i >= len(wanted) || got[i] != wanted[i] {
			t.Fatalf("the exported API is not that of %s from line %d on: got %q; if that is meant, write it with -update-api and describe it in CHANGELOG.md",
				golden, i+1, strings.Join(got[min(i, len(got)):min(i+3, len(got))], "\n"))
		}
	}
}

// writeAPI writes every exported declaration of the package in dir, without comments, in
// the order of go doc.
func writeAPI(t *testing.T, out *bytes.Buffer, dir string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	var sources []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, source)
	}
	p, err := doc.NewFromFiles(files, sources, "banger/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	values(t, out, files, p.Consts)
	values(t, out, files, p.Vars)
	functions(t, out, files, p.Funcs)
	for _, typ := range p.Types {
		writeDecl(t, out, files, typ.Decl)
		values(t, out, files, typ.Consts)
		values(t, out, files, typ.Vars)
		functions(t, out, files, typ.Funcs)
		functions(t, out, files, typ.Methods)
	}
}

func values(t *testing.T, out *bytes.Buffer, files *token.FileSet, list []*doc.Value) {
	for _, v := range list {
		writeDecl(t, out, files, v.Decl)
	}
}

func functions(t *testing.T, out *bytes.Buffer, files *token.FileSet, list []*doc.Func) {
	for _, f := range list {
		writeDecl(t, out, files, f.Decl)
	}
}

// writeDecl writes a declaration in the form of gofmt.
func writeDecl(t *testing.T, out *bytes.Buffer, files *token.FileSet, decl ast.Decl) {
	t.Helper()
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			n.Doc = nil
		case *ast.FuncDecl:
			n.Doc, n.Body = nil, nil
		case *ast.FuncLit:
			n.Body = &ast.BlockStmt{Lbrace: n.Body.Lbrace, Rbrace: n.Body.Lbrace}
		case *ast.Field:
			n.Doc, n.Comment = nil, nil
		case *ast.TypeSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.ValueSpec:
			n.Doc, n.Comment = nil, nil
		}
		return true
	})
	var source bytes.Buffer
	if err := printer.Fprint(&source, files, decl); err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(source.Bytes()) {
		if len(bytes.TrimSpace(line)) > 0 {
			out.Write(line)
		}
	}
	out.WriteString("\n\n")
}
