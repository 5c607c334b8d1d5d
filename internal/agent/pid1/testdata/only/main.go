// Command only is the one program of an image that has nothing else: it says what it finds
// at the paths that it is given.
package main

import (
	"fmt"
	"os"
	"syscall"
)

func main() {
	for _, path := range os.Args[1:] {
		info, err := os.Lstat(path)
		if err != nil {
			fmt.Printf("%s is missing\n", path)
			continue
		}
		sys := info.Sys().(*syscall.Stat_t)
		what := fmt.Sprintf("%s %v %d:%d", path, info.Mode(), sys.Uid, sys.Gid)
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			what += fmt.Sprintf(" links %d %q", sys.Nlink, content)
			if err != nil {
				what += " " + err.Error()
			}
		}
		fmt.Println(what)
	}
}
