package banger

import (
	"maps"
	"slices"
)

// SecretEnv are variables of a command's environment that are given to it and kept
// nowhere else: no record, event, log or disk has their values. A session has their names.
type SecretEnv map[string]ByteString

// Names returns the names, sorted, nil if there are none.
func (s SecretEnv) Names() []string {
	return slices.Sorted(maps.Keys(s))
}

// MaxSecrets bounds the secrets of a launch, and maxSecretNames the bytes of their names:
// they are in each event about the session.
const (
	MaxSecrets     = 64
	maxSecretNames = 4096
)

// WithSecrets returns the launch as the command gets it, with the secrets among its
// other variables. A name in both is CodeInvalid.
func (l Launch) WithSecrets(secrets SecretEnv) (Launch, error) {
	if len(secrets) == 0 {
		return l, nil
	}
	bytes := 0
	for name := range secrets {
		bytes += len(name)
	}
	if len(secrets) > MaxSecrets || bytes > maxSecretNames {
		return l, Errorf(CodeInvalid, "cannot start session: it has %d secrets with names of %d bytes; at most %d and %d are kept", len(secrets), bytes, MaxSecrets, maxSecretNames)
	}
	env := make(map[string]ByteString, len(l.Env)+len(secrets))
	maps.Copy(env, l.Env)
	for name, value := range secrets {
		if _, ok := env[name]; ok {
			return l, Errorf(CodeInvalid, "cannot start session: environment variable %.100s is given twice, as a secret and otherwise", name)
		}
		env[name] = value
	}
	l.Env = env
	return l, nil
}
