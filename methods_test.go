//go:build !unit

package banger_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// maxMethods is how many methods a type has at most. One that has more is several nouns.
const maxMethods = 20

// whole are the types that may have any number: each is one thing with an entry for every
// command, route or call.
var whole = []string{"internal/cli.CLI", "internal/httpapi.server", "client.Client"}

func TestTypes_HaveFewMethods(t *testing.T) {
	methods := methodsByType(t)
	for _, name := range slices.Sorted(maps.Keys(methods)) {
		if methods[name] > maxMethods && !slices.Contains(whole, name) {
			t.Errorf("%s has %d methods, more than %d: find the second noun in it", name, methods[name], maxMethods)
		}
	}
}

// methodsByType counts the methods that each type outside of tests declares. A type that
// embeds another one of this module has the methods of that, too, which are counted there.
func methodsByType(t *testing.T) map[string]int {
	t.Helper()
	places, count := layers(), map[string]int{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && file != "." && (name == "testdata" || name == "bin" || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		dir := path.Dir(filepath.ToSlash(file))
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || places[dir] == support {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv != nil {
				count[dir+"."+receiver(f.Recv.List[0].Type)]++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// receiver is the name of the type of a method.
func receiver(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr:
		return receiver(x.X)
	case *ast.IndexListExpr:
		return receiver(x.X)
	case *ast.Ident:
		return x.Name
	}
	return "?"
}
