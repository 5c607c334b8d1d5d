package records

import (
	"maps"
	"slices"

	"banger"
)

// What a session in short keeps of its launch, in bytes: of the command and its
// arguments as many words as its summary shows, of each of these so much, and of
// everything else together.
const (
	maxShortCommandBytes = banger.MaxCommandLineBytes + 1
	maxShortLaunchBytes  = 1024
)

// Short returns s as events and lists of the store have it, which is bounded: the
// environment by its names only, so that no value of it stays anywhere after the
// session, and no more of the rest of the launch than a Summary needs. It shares
// what s refers to. A session that is short already stays as it is.
func Short(s banger.Session) banger.Session {
	l := &s.Launch
	if len(l.Env) > 0 {
		s.EnvNames = slices.Sorted(maps.Keys(l.Env))
	}
	l.Env = nil
	left := maxShortCommandBytes
	l.Command = shortWord(&left, l.Command, &s.LaunchCut)
	for i, a := range l.Args {
		if left <= 0 {
			l.Args, s.LaunchCut = slices.Clip(l.Args[:i]), true
			break
		}
		if word := shortWord(&left, a, &s.LaunchCut); word != a {
			l.Args = append(slices.Clone(l.Args[:i]), word)
			break
		}
	}
	left = maxShortLaunchBytes
	l.Cwd = oneWithin(&left, l.Cwd, &s.LaunchCut)
	l.User = oneWithin(&left, l.User, &s.LaunchCut)
	l.RequiredCommands = allWithin(&left, l.RequiredCommands, &s.LaunchCut)
	s.EnvNames = allWithin(&left, s.EnvNames, &s.LaunchCut)
	return s
}

// shortWord returns the beginning of a word of the command, and takes the word and what
// separates it from the next one from left.
func shortWord(left *int, word banger.ByteString, cut *bool) banger.ByteString {
	*left -= len(word) + 1
	if len(word) <= maxShortCommandBytes {
		return word
	}
	*cut = true
	return word[:maxShortCommandBytes]
}

// oneWithin returns a word that left has room for, or nothing.
func oneWithin[S ~string](left *int, word S, cut *bool) S {
	if len(word) > *left {
		*cut = true
		return ""
	}
	*left -= len(word)
	return word
}

// allWithin returns as many of the first words as left has room for.
func allWithin[S ~string](left *int, words []S, cut *bool) []S {
	for i, w := range words {
		if *left -= len(w) + 1; *left < 0 {
			*cut = true
			return slices.Clip(words[:i])
		}
	}
	return words
}
