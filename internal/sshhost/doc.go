// Package sshhost reaches any SSH host in the way that the user's own ssh would:
// by the user's configuration, with the user's keys and agent, and with the host
// keys that the user knows. What only the user can answer comes back as a
// [QuestionError]; nobody is asked anything here.
//
// The configuration is evaluated by ssh(1) itself (ssh -G), so what ssh_config(5)
// says holds: Include, Match, canonical names and the system's file. The connection
// is made by x/crypto/ssh.
package sshhost
