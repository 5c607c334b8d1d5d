package session

import (
	"reflect"
	"strings"
	"testing"

	"banger"
)

func TestWithImage_IsWhatPodmanDoes(t *testing.T) {
	text := banger.ByteStrings
	request := func(argv []string, change func(*banger.SessionRequest)) banger.SessionRequest {
		var r banger.SessionRequest
		if len(argv) > 0 {
			r.Command, r.Args = banger.ByteString(argv[0]), text(argv[1:])
		}
		if change != nil {
			change(&r)
		}
		return r
	}
	both := banger.ImageConfig{Entrypoint: []string{"/entry", "-x"}, Cmd: []string{"cmd", "a b"}}
	for name, c := range map[string]struct {
		config *banger.ImageConfig
		r      banger.SessionRequest
		want   banger.SessionRequest
	}{
		"no image of others":     {nil, request([]string{"ls"}, nil), request([]string{"ls"}, nil)},
		"entry point and cmd":    {&both, request(nil, nil), request([]string{"/entry", "-x", "cmd", "a b"}, nil)},
		"arguments replace cmd":  {&both, request(nil, func(r *banger.SessionRequest) { r.Args = text([]string{"1", "2"}) }), request([]string{"/entry", "-x", "1", "2"}, nil)},
		"a command is all of it": {&both, request([]string{"ls", "-l"}, nil), request([]string{"ls", "-l"}, nil)},
		"cmd alone":              {&banger.ImageConfig{Cmd: []string{"cmd"}}, request(nil, nil), request([]string{"cmd"}, nil)},
		"an empty entry point":   {&banger.ImageConfig{Entrypoint: []string{""}, Cmd: []string{"cmd"}}, request(nil, nil), request([]string{"cmd"}, nil)},
		"a login shell": {
			&both, request(nil, func(r *banger.SessionRequest) { r.LoginShell, r.Args = true, text([]string{"-c", "x"}) }),
			request(nil, func(r *banger.SessionRequest) { r.LoginShell, r.Args = true, text([]string{"-c", "x"}) }),
		},
		"its stop signal": {
			&banger.ImageConfig{Cmd: []string{"cmd"}, StopSignal: "SIGINT"}, request(nil, nil),
			request([]string{"cmd"}, func(r *banger.SessionRequest) { r.StopSignal = "SIGINT" }),
		},
		"another stop signal": {
			&banger.ImageConfig{Cmd: []string{"cmd"}, StopSignal: "SIGINT"}, request(nil, func(r *banger.SessionRequest) { r.StopSignal = "QUIT" }),
			request([]string{"cmd"}, func(r *banger.SessionRequest) { r.StopSignal = "QUIT" }),
		},
		"the stop signal is of its command": {&banger.ImageConfig{Cmd: []string{"cmd"}, StopSignal: "SIGINT"}, request([]string{"ls"}, nil), request([]string{"ls"}, nil)},
		"nothing to run":                    {&banger.ImageConfig{}, request(nil, nil), request(nil, nil)},
		"what is not given": {
			&banger.ImageConfig{Env: []string{"A=1", "B=x=y", "S=image", "a.b=1"}, User: "app:1", WorkingDir: "srv/x"},
			request([]string{"ls"}, func(r *banger.SessionRequest) {
				r.Env, r.SecretEnv = map[string]banger.ByteString{"A": "2"}, banger.SecretEnv{"S": "secret"}
			}),
			request([]string{"ls"}, func(r *banger.SessionRequest) {
				r.Env, r.SecretEnv = map[string]banger.ByteString{"A": "2", "B": "x=y"}, banger.SecretEnv{"S": "secret"}
				r.User, r.Cwd = "app:1", "/srv/x"
			}),
		},
		"what is given": {
			&banger.ImageConfig{User: "app", WorkingDir: "/srv"},
			request([]string{"ls"}, func(r *banger.SessionRequest) { r.User, r.Cwd = "root", "/tmp" }),
			request([]string{"ls"}, func(r *banger.SessionRequest) { r.User, r.Cwd = "root", "/tmp" }),
		},
	} {
		if got := withImage(c.r, c.config); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestStopSignal_HasOneNameInEveryFormThatImagesHave(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "SIGTERM": "SIGTERM", "TERM": "SIGTERM", "15": "SIGTERM", "quit": "SIGQUIT", "SIGRTMIN+3": "SIGRTMIN+3", "37": "SIGRTMIN+3", "rtmin+3": "SIGRTMIN+3",
	} {
		if got, err := stopSignal(text); err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"SIG", "0", "65", "-1", "TERM ", "SIGNOPE", "15x", strings.Repeat("9", 100_000)} {
		if got, err := stopSignal(text); banger.CodeOf(err) != banger.CodeInvalid || len(err.Error()) > 200 {
			t.Errorf("%.40q is %q, %.300v", text, got, err)
		}
	}
}
