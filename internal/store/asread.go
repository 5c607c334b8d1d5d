package store

import (
	"time"
	"unicode/utf8"

	"banger"
)

// asRead returns a session as a reader of its document will see it, which mostly is as it is:
// to decode a document takes longer than to store it.
func asRead(x banger.Session, document []byte) (banger.Session, error) {
	if x.Epoch == "" {
		x.Epoch = banger.Epoch(x.VMID)
	}
	for _, at := range []*time.Time{&x.StartedAt, &x.EndedAt, &x.CreatedAt, &x.UpdatedAt, &x.EndSeenAt} {
		if at.Location() != time.UTC {
			return decodeSession(document)
		}
		*at = at.Round(0)
	}
	if !plainTexts(x) || !plainLists(x) {
		return decodeSession(document)
	}
	return x, nil
}

// plainTexts reports whether no text of a session but those in lists is changed by JSON.
func plainTexts(x banger.Session) bool {
	for _, text := range []string{
		string(x.ID), string(x.VMID), string(x.Epoch), x.Name, x.User, string(x.StdinMode), string(x.Status), x.ExitSignal, string(x.EndedBy), string(x.LaunchStage), string(x.LaunchCause),
		x.LaunchMessage, x.LaunchRawLog, x.LastError, x.Backend, x.AttachBackend, x.AttachMode, x.GuestStateDir, x.StdoutLogPath, x.StderrLogPath,
	} {
		if !utf8.ValidString(text) {
			return false
		}
	}
	return true
}

// plainLists reports the same of lists and maps. An empty one may be left out.
func plainLists(x banger.Session) bool {
	if x.Env != nil || x.StopSteps != nil || x.Survivors != nil || isEmpty(x.RequiredCommands) || isEmpty(x.SecretEnv) || isEmpty(x.EnvNames) ||
		x.Tags != nil && len(x.Tags) == 0 {
		return false
	}
	for _, list := range [][]string{x.SecretEnv, x.EnvNames} {
		for _, text := range list {
			if !utf8.ValidString(text) {
				return false
			}
		}
	}
	for key, value := range x.Tags {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return false
		}
	}
	return true
}

func isEmpty[E any](list []E) bool { return list != nil && len(list) == 0 }
