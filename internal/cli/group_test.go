package cli

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"banger"
)

func TestWords_OfHabitAreAliasesOnEveryNoun(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	root, _ := (&CLI{Backend: &fake{}}).rootCommand()
	seen := map[string]int{}
	for _, noun := range root.Commands() {
		help := (&fake{}).must(t, noun.Name(), "--help")
		for _, verb := range noun.Commands() {
			for _, pair := range [][2]string{{"delete", "rm"}, {"list", "ls"}} {
				name, alias := pair[0], pair[1]
				if verb.Name() == alias {
					t.Errorf("%s is a name of its own, not an alias of %s", verb.CommandPath(), name)
				}
				if verb.Name() != name {
					continue
				}
				seen[name]++
				if !slices.Contains(verb.Aliases, alias) || !strings.Contains(help, name+", "+alias) {
					t.Errorf("%s has the aliases %q, and the help of %s shows\n%s", verb.CommandPath(), verb.Aliases, noun.Name(), help)
				}
			}
		}
	}
	for _, verb := range []string{"delete", "list"} {
		if seen[verb] < 3 {
			t.Errorf("%d nouns have %s: is the verb called otherwise?", seen[verb], verb)
		}
	}
	for _, row := range []string{"| `list` | `ls` |", "| `delete` | `rm` |", "| `session list` | `ps`, `session ps` |"} {
		if !strings.Contains(string(readme), row) {
			t.Errorf("README.md has no row %q", row)
		}
	}
}

func TestWords_OfHabitDoWhatTheyAreAliasesOf(t *testing.T) {
	for line, want := range map[string]string{
		"vm rm dev":          "delete-vm dev",
		"session rm dev s":   "remove-session dev s",
		"image rm default":   "delete-image default",
		"vm delete dev":      "delete-vm dev",
		"session delete d s": "remove-session d s",
	} {
		f := &fake{}
		f.must(t, strings.Fields(line)...)
		if got := strings.Join(f.asked, "; "); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	for _, same := range [][]string{
		{"session list", "session ls", "session ps", "ps"},
		{"session list dev", "session ls dev", "session ps dev", "ps dev"},
		{"session list --json", "ps --json"},
		{"vm list", "vm ls"},
		{"image list", "image ls"},
	} {
		var first, asked string
		for i, line := range same {
			f := &fake{vms: []banger.VM{{ID: "v1", Name: "dev"}}, sessions: []banger.Session{exitedWith(0)}, images: []banger.Image{{ID: "i1", Name: "default"}}}
			out := f.must(t, strings.Fields(line)...)
			if i == 0 {
				first, asked = out, f.filter.VM
			}
			if out != first || f.filter.VM != asked {
				t.Errorf("%s prints, of VM %q,\n%swhere %s prints, of VM %q,\n%s", line, f.filter.VM, out, same[0], asked, first)
			}
		}
	}
}

func TestWords_OfHabitAreCompleted(t *testing.T) {
	f := &fake{vms: []banger.VM{{Name: "dev"}}, sessions: []banger.Session{{Name: "build"}}, images: []banger.Image{{Name: "default"}}, running: true}
	for line, want := range map[string]string{
		"vm rm":              "rm",
		"session rm":         "rm",
		"image l":            "list", // a command's own name comes first
		"image ls":           "ls",
		"session p":          "prune",
		"session ps":         "ps",
		"vm rm ":             "dev",
		"session rm dev ":    "build",
		"session delete de":  "dev",
		"image rm ":          "default",
		"ps ":                "dev",
		"session ps ":        "dev",
		"session list bogus": "",
	} {
		lines := strings.Fields(f.must(t, append([]string{"__completeNoDesc"}, strings.Split(line, " ")...)...))
		if got := strings.Join(lines[:len(lines)-1], " "); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// A first-time user reads one screen: no line of a help wraps, and flags say their
// arguments by a noun.
func TestEveryCommand_HasHelpThatFits(t *testing.T) {
	root, _ := (&CLI{Backend: &fake{}}).rootCommand()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			for line := range strings.SplitSeq(sub.Short+"\n"+sub.Long, "\n") {
				if len(line) > 92 {
					t.Errorf("%s has a line of %d characters: %s", sub.CommandPath(), len(line), line)
				}
			}
			if strings.HasSuffix(sub.Short, ".") {
				t.Errorf("%s: a short text is not a sentence: %s", sub.CommandPath(), sub.Short)
			}
			if usage := sub.LocalFlags().FlagUsages(); strings.Contains(usage, "stringArray") || strings.Contains(usage, " string ") {
				t.Errorf("%s has flags that do not say what they take:\n%s", sub.CommandPath(), usage)
			}
			walk(sub)
		}
	}
	walk(root)
}
