//go:build !unit

package banger_test

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// houseWord is an expression that this code base used in its own way, where the field
// has a usual one.
type houseWord struct {
	name    string
	has     string // what each line with it has, too: looking for that is much faster
	use     *regexp.Regexp
	instead string // what the field says, and why
	but     *regexp.Regexp
}

func houseWords() []houseWord {
	word := func(name, has, use, instead, but string) houseWord {
		w := houseWord{name: name, has: has, use: regexp.MustCompile(use), instead: instead}
		if but != "" {
			w.but = regexp.MustCompile(but)
		}
		return w
	}
	return []houseWord{
		word("folder", "older", `\b[Ff]olders?\b`, `"directory", as in the man pages and Go's os package`, ``),
		word("is no X", " no ", `\b(is|was) no (file|directory|error|id|name|status|signal|session id|number|time|object|terminal|database|duration|success|path|host|VM|machine|daemon)\b`,
			`"is not a X": "is no X" is read as "there is no X"`, `[Tt]here (is|was) no|[wW]here|no (time|name|host) (limit|zone|is|of|that)`),
		word("goes on", " on", `\b(goes|go|went) on (until|with|where|when|as|at|behind|after)\b|\band goes on\b|; it goes on\b`, `"continues", "resumes" or "keeps running", which say which of the three`, ``),
		word("made anew", " anew", `\b(made|makes|make|begins?|begun) anew\b`, `"recreated", "restarted" or "reconnects"`, ``),
		word("unasked", "unasked", `\bunasked\b`, `"without a request" or "unexpectedly"`, ``),
		word("as if it had never been", "had never been", `as if (it|they) had never been`, `say what is deleted`, ``),
		word("who asks", "who asks is", `\bwho asks is\b`, `"the requester" or "the caller"`, ``),
		word("cannot be right", "cannot be right", `\bcannot be right\b`, `"is invalid"`, ``),
		word("less than none", "less than none", `\bless than none\b`, `"is negative"`, ``),
		word("is none of", "is none of", `\bis none of (a|b|std|%)`, `"is not one of"`, ``),
		word("be the daemon", "Be the daemon", `\bBe the daemon\b`, `"run the daemon"`, ``),
		word("tells of", " of", `\b([Tt]ells?|told) of\b`, `"reports", "says" or "notifies", by what happens`, ``),
		word("told otherwise", "told otherwise", `\btold otherwise\b`, `"by default"`, ``),
		word("so many", "so many", `\bso many (bytes|lines|times|rows|together|that)\b`, `"this number of", or the name of the parameter`, ``),
		word("who reads", " who ", `\b([Ff]or|by|to|from|of) who (is|has|does|holds|[a-z]+s)\b`, `"whoever", or who that is: a client, a caller, a reader`, ``),
		word("heed", "eed", `\b[Hh]eed(s|ed)?\b`, `"handle" or "respect"`, ``),
		word("obey", "bey", `\b[Oo]bey(s|ed)?\b`, `"handle" or "carry out"`, ``),
		word("somebody else's host", "of somebody else", `\b(host|machine) of somebody else\b`, `"a remote host"`, ``),
	}
}

// Docs, comments and messages use the usual words of the field, so that nobody has to
// read a sentence twice. Decisions are history; what is quoted from programs by others,
// and the recorded results of the benchmark, stay as they are.
func TestEnglish_HasTheWordsOfTheField(t *testing.T) {
	words := houseWords()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata" || d.Name() == "bin" || path == "findings" || path == filepath.Join("docs", "decisions") || path == filepath.Join("bench", "results")):
			return filepath.SkipDir
		case path == "english_test.go" || path == filepath.Join("bench", "HISTORY.md"):
			return nil
		case !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".md"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".go") {
			text = prose(path, text)
		}
		number := 0
		for line := range strings.Lines(string(text)) {
			number++
			for _, w := range words {
				if strings.Contains(line, w.has) && w.use.MatchString(line) && (w.but == nil || !w.but.MatchString(line)) {
					t.Errorf("%s:%d: %q: use %s\n\t%s", path, number, w.name, w.instead, strings.TrimSpace(line))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// prose returns a Go file's comments and, outside of tests, its strings; everything else
// in it is blank, so that lines keep their numbers. Names in the code are not prose.
func prose(path string, src []byte) []byte {
	out := make([]byte, len(src))
	for i, b := range src {
		if out[i] = ' '; b == '\n' {
			out[i] = b
		}
	}
	files := token.NewFileSet()
	var s scanner.Scanner
	s.Init(files.AddFile(path, -1, len(src)), src, nil, scanner.ScanComments)
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			return out
		}
		if tok == token.COMMENT || tok == token.STRING && !strings.HasSuffix(path, "_test.go") {
			copy(out[files.Position(pos).Offset:], literal)
		}
	}
}
