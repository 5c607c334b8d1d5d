package sshhost_test

import (
	"strings"
	"testing"

	"banger"
	"banger/internal/sshhost"
)

func TestParseTarget_ReadsWhatUsersWrite(t *testing.T) {
	for text, want := range map[string]sshhost.Target{
		"box":                         {Host: "box"},
		"me@box":                      {User: "me", Host: "box"},
		"me@box:2222":                 {User: "me", Host: "box", Port: 2222},
		"me@example.com@box":          {User: "me@example.com", Host: "box"},
		"::1":                         {Host: "::1"},
		"[::1]":                       {Host: "::1"},
		"me@[fe80::1%eth0]:22":        {User: "me", Host: "fe80::1%eth0", Port: 22},
		"ssh://box":                   {Host: "box"},
		"ssh://me@box.example:65535/": {User: "me", Host: "box.example", Port: 65535},
		`ssh://CORP%5Cjane@box.`:      {User: `CORP\jane`, Host: "box"},
		"ssh://me@[::1]:1":            {User: "me", Host: "::1", Port: 1},
		"host_with-odd.name":          {Host: "host_with-odd.name"},
		"DOMAIN user@box":             {User: "DOMAIN user", Host: "box"},
		`CORP\jane@box:22`:            {User: `CORP\jane`, Host: "box", Port: 22},
		"ssh://me/x@box":              {User: "me/x", Host: "box"},
		"$me@box":                     {User: "$me", Host: "box"},
		"work/db":                     {Host: "work/db"},
		"db:prod":                     {Host: "db:prod"},
		"SSH://me@box":                {User: "SSH://me", Host: "box"},
	} {
		got, err := sshhost.ParseTarget(text)
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestParseTarget_RefusesTheRest(t *testing.T) {
	for text, why := range map[string]string{
		"":                       "missing",
		"me@":                    "missing",
		"@box":                   "no user",
		":22":                    "missing",
		"box:":                   "port",
		"box:0":                  "port",
		"box:65536":              "port",
		"ssh://box:ssh":          "port",
		"[::1":                   "bracket",
		"[::1]22":                "port",
		"-oProxyCommand=x":       "hostname contains invalid characters",
		"-l@box":                 "remote username contains invalid characters",
		"box;id":                 "hostname contains invalid characters",
		"$(id)@box":              "remote username contains invalid characters",
		`CORP\@box`:              "remote username contains invalid characters",
		"a -x@box":               "remote username contains invalid characters",
		"box name":               "hostname contains invalid characters",
		"box\n":                  "hostname contains invalid characters",
		"ssh://_box":             "hostname contains invalid characters",
		"ssh://a%zz@box":         "escape",
		"ssh://box/path":         "path",
		strings.Repeat("x", 999): "long",
	} {
		got, err := sshhost.ParseTarget(text)
		if err == nil {
			t.Errorf("%q is %+v", text, got)
			continue
		}
		wantError(t, err, banger.CodeInvalid, why)
	}
}

// What is read is written so that it reads the same, and can be no option of ssh.
func FuzzParseTarget(f *testing.F) {
	for _, text := range []string{"box", "me@box:22", "[::1]:22", "ssh://me@[::1]/", "fe80::1%lo", "-x", "a@b@c:1", "[a]:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, err := sshhost.ParseTarget(text)
		if err != nil {
			return
		}
		if first.Host == "" || first.Host[0] == '-' || strings.HasPrefix(first.User, "-") || strings.ContainsAny(first.Host+first.User, "\x00\n`;|&<>'\"") || strings.ContainsAny(first.Host, `\$ `) {
			t.Errorf("%q is %+v", text, first)
		}
		again, err := sshhost.ParseTarget(first.String())
		if err != nil || again != first {
			t.Errorf("%q is %+v, written as %q, and then %+v, %v", text, first, first, again, err)
		}
	})
}
