package banger_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layer is a kind of package, by what it may import of this module.
type layer string

const (
	root    layer = "root"    // the domain; imports the standard library only
	port    layer = "port"    // what a service asks of an adapter or a guest: interfaces and their records, no I/O
	format  layer = "format"  // what is written down for another process to read
	tool    layer = "tool"    // small, knows nothing of services
	agent   layer = "agent"   // runs in the guest
	service layer = "service" // the rules; receives adapters
	adapter layer = "adapter" // holds one outside thing
	edge    layer = "edge"    // speaks to services through the root's interfaces
	daemon  layer = "daemon"  // the composition root
	command layer = "command" // a main package
	support layer = "support" // suites and helpers of tests, generators
)

// mayImport is the whole of the permitted arrows between layers.
func mayImport() map[layer][]layer {
	return map[layer][]layer{
		root:    {},
		port:    {root, port},
		format:  {root, port, format, tool},
		tool:    {root, tool},
		agent:   {root, port, format, tool, agent},
		service: {root, port, format, tool},
		adapter: {root, port, format, tool},
		edge:    {root, format, tool},
		daemon:  {root, port, format, tool, service, adapter, edge},
		command: {root, tool, edge, daemon, agent},
		support: {root, port, format, tool, agent, service, adapter, edge, daemon, support},
	}
}

// layers places every directory that holds a package.
func layers() map[string]layer {
	return map[string]layer{
		".":                            root,
		"api":                          format,
		"sessionstream":                format,
		"internal/guestapi":            port,
		"internal/vmm":                 port,
		"internal/guestconfig":         format,
		"internal/guestrpc":            format,
		"internal/sessiondir":          format,
		"internal/transfer":            format,
		"internal/files":               tool,
		"internal/config":              tool,
		"internal/confine":             tool,
		"internal/daemonlog":           tool,
		"internal/diskspace":           tool,
		"internal/diskusage":           tool,
		"internal/emulator":            tool,
		"internal/debian":              tool,
		"internal/debian/debiantest":   support,
		"internal/debversion":          tool,
		"internal/ext4fs":              tool,
		"internal/filelock":            tool,
		"internal/guestbudget":         tool,
		"internal/jsonfault":           tool,
		"internal/hostid":              tool,
		"internal/imagename":           tool,
		"internal/jsonshape":           tool,
		"internal/keylock":             tool,
		"internal/inuse":               tool,
		"internal/kmod":                tool,
		"internal/kmod/kmodtest":       support,
		"internal/lineage":             tool,
		"internal/linematch":           tool,
		"internal/localsocket":         tool,
		"internal/netchange":           tool,
		"internal/ondemand":            tool,
		"internal/overlay":             tool,
		"internal/paths":               tool,
		"internal/vmlinux":             tool,
		"internal/vmlinux/vmlinuxtest": support,
		"internal/process":             tool,
		"internal/records":             tool,
		"internal/screen":              tool,
		"internal/signalname":          tool,
		"internal/sshconfig":           tool,
		"internal/staging":             tool,
		"internal/sshhost":             tool,
		"internal/steadyclock":         tool,
		"internal/systemd":             tool,
		"internal/termmodes":           tool,
		"internal/version":             tool,
		"internal/agent":               agent,
		"internal/agent/aging":         agent,
		"internal/agent/cgroups":       agent,
		"internal/agent/control":       agent,
		"internal/agent/device":        agent,
		"internal/agent/passwd":        agent,
		"internal/agent/pidfd":         agent,
		"internal/agent/pid1":          agent,
		"internal/agent/shim":          agent,
		"internal/agent/shimclient":    agent,
		"internal/agent/scp":           agent,
		"internal/agent/sshd":          agent,
		"internal/agent/signals":       agent,
		"internal/image":               service,
		"internal/kernel":              service,
		"internal/machine":             service,
		"internal/session":             service,
		"internal/guest":               adapter,
		"internal/image/ext4":          adapter,
		"internal/image/initrd":        adapter,
		"internal/image/layer":         adapter,
		"internal/image/mmdebstrap":    adapter,
		"internal/image/oci":           adapter,
		"internal/machine/inmem":       adapter,
		"internal/machine/qemu":        adapter,
		"internal/machine/remote":      adapter,
		"internal/store":               adapter,
		"client":                       edge,
		"internal/cli":                 edge,
		"internal/httpapi":             edge,
		"internal/daemon":              daemon,
		"cmd/banger":                   command,
		"cmd/banger-agent":             command,
		"cmd/banger-shim":              command,
		"internal/guest/guesttest":     support,
		"internal/machine/machinetest": support,
		"internal/httpapi/httpapitest": support,
		"internal/servicetest":         support,
		"internal/store/storetest":     support,
		"internal/tools/demoregistry":  support,
		"internal/tools/gendocs":       support,
		"internal/tools/genwidths":     support,
		"internal/hosttest":            support,
		"test/e2e":                     support,
		"test/fault":                   support,
		"test/fault/workload":          support,
		"test/fault/workload/run":      support,
		"test/installation":            support,
		"test/interop":                 support,
		"test/kvmlab":                  support,
		"test/oldkernel":               support,
		"test/programs":                support,
		"test/remote":                  support,
		"test/testguest":               support,
		"test/testimage":               support,
		"test/wait":                    support,
		"bench":                        support,
		"bench/crowd":                  support,
		"bench/stream":                 support,
	}
}

// A new directory gets its place in layers and in docs/ARCHITECTURE.md; a new arrow
// is a decision about the design, not about this test.
func TestImports_FollowTheLayers(t *testing.T) {
	places, allowed := layers(), mayImport()
	for folder, imports := range moduleImports(t) {
		place, ok := places[folder]
		if !ok {
			t.Errorf("directory %s has no place in layers", folder)
			continue
		}
		for _, imported := range imports {
			if to := places[imported]; !slices.Contains(allowed[place], to) {
				t.Errorf("%s (%s) imports %s (%s)", folder, place, imported, to)
			}
		}
	}
}

// What a test wires itself is not what is shipped.
func TestServices_AreWiredByTheDaemonAlone(t *testing.T) {
	for dir, imports := range moduleImports(t) {
		if dir == "internal/daemon" {
			continue
		}
		for _, imported := range imports {
			for constructor := range strings.FieldsSeq("internal/session internal/machine internal/image internal/kernel") {
				if imported == constructor && calls(t, dir, path.Base(constructor), "New") {
					t.Errorf("%s calls %s.New, which is for daemon.New", dir, constructor)
				}
			}
		}
	}
}

// calls reports whether a file of a directory that is not a test uses a name of a package.
func calls(t *testing.T, dir, pkg, name string) (found bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == name {
				x, ok := s.X.(*ast.Ident)
				found = found || ok && x.Name == pkg
			}
			return true
		})
	}
	return found
}

// The programs in guests can carry the terminal emulator: it brings nothing along.
func TestImports_TheEmulatorNeedsTheStandardLibraryOnly(t *testing.T) {
	files, err := filepath.Glob("internal/emulator/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range parsed.Imports {
			if first, _, _ := strings.Cut(strings.Trim(i.Path.Value, `"`), "/"); first == "banger" || strings.Contains(first, ".") {
				t.Errorf("%s imports %s", file, i.Path.Value)
			}
		}
	}
}

// moduleImports returns, for each directory with Go code that is not a test, what
// ourImports returns of its files.
func moduleImports(t *testing.T) map[string][]string {
	t.Helper()
	imports := make(map[string][]string)
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && file != "." && (name == "testdata" || name == "bin" || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		folder := path.Dir(filepath.ToSlash(file))
		ours, err := ourImports(file, folder == ".")
		imports[folder] = append(imports[folder], ours...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}

// ourImports returns the directories of this module that a file imports, and with
// foreign set the packages of other modules too.
func ourImports(file string, foreign bool) ([]string, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var imports []string
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		first, rest, _ := strings.Cut(imported, "/")
		switch {
		case imported == "banger":
			imports = append(imports, ".")
		case first == "banger":
			imports = append(imports, rest)
		case foreign && strings.Contains(first, "."):
			imports = append(imports, imported)
		}
	}
	return imports, nil
}
