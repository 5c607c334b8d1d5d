// Gendocs writes the files of this repository that are made from its types:
// api/openapi.json, docs/STATES.md and the client's methods that only make a call. `go generate ./...` runs it.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := flag.String("root", ".", "the `directory` with go.mod")
	flag.Parse()
	if err := run(*root); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run writes the files that are not as they should be.
func run(root string) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(root, name)
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
			continue
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return fmt.Errorf("cannot write %s: %w", name, err)
		}
	}
	return nil
}

// generate returns what the files should hold, by their path in the repository.
func generate(root string) (map[string][]byte, error) {
	source, err := readSource(root)
	if err != nil {
		return nil, fmt.Errorf("cannot read the comments of the API's types: %w", err)
	}
	openAPI, err := openAPI(source)
	if err != nil {
		return nil, fmt.Errorf("cannot describe the API: %w", err)
	}
	calls, err := clientCalls(root)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		clientFile:         calls,
		"api/openapi.json": openAPI,
		"docs/STATES.md":   states(),
	}, nil
}
