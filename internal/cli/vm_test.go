package cli

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"banger"
)

func TestVMCreate_SendsWhatWasGivenAndPrintsTheName(t *testing.T) {
	f := &fake{vms: []banger.VM{{ID: "v1", Name: "dev"}}}
	out := f.must(t, "vm", "create", "dev", "--cpus", "2", "--memory", "2G", "--disk", "512M", "--work-disk", "1T",
		"--image", "web", "--start")
	want := banger.VMRequest{Name: "dev", Image: "web", CPUs: 2, MemoryMiB: 2048, SystemDiskMiB: 512, WorkDiskMiB: 1 << 20}
	if diff := cmp.Diff(want, f.created); diff != "" || out != "dev\n" {
		t.Errorf("stdout %q, request (-want +got):\n%s", out, diff)
	}
	if diff := cmp.Diff([]string{"create-vm", "start-vm v1"}, f.asked); diff != "" {
		t.Errorf("calls: %s", diff)
	}
	f.must(t, "vm", "create")
	if want := (banger.VMRequest{Image: "default", CPUs: 1}); f.created != want {
		t.Errorf("without flags: %+v", f.created)
	}
}

func TestVMRestart_StopsAndStartsTheSameVM(t *testing.T) {
	f := &fake{vms: []banger.VM{{ID: "v1", Name: "dev"}}}
	f.must(t, "vm", "restart", "de", "--grace", "5s")
	if diff := cmp.Diff([]string{"stop-vm de", "start-vm v1"}, f.asked); diff != "" || f.grace != 5*time.Second {
		t.Errorf("grace %s, calls: %s", f.grace, diff)
	}
}

func TestVMStop_ThatHadToKillSaysSo(t *testing.T) {
	for by, want := range map[banger.StoppedBy]string{
		banger.StoppedByGuest:  "",
		banger.StoppedByACPI:   "",
		banger.StoppedByKilled: "banger: VM dev did not shut down within 5s and was killed: unsaved data in it may be lost\n",
	} {
		f := &fake{vms: []banger.VM{{ID: "v1", Name: "dev", StoppedBy: by}}}
		if r := f.run(t, "", "vm", "stop", "dev", "--grace", "5s"); r.status != 0 || r.stderr != want {
			t.Errorf("stopped by %s: status %d, stderr %q", by, r.status, r.stderr)
		}
	}
	f := &fake{vms: []banger.VM{{ID: "v1", Name: "dev", StoppedBy: banger.StoppedByKilled, Init: banger.InitSystemd}}}
	if r := f.run(t, "", "vm", "stop", "dev"); r.status != 0 || f.grace != 0 || !strings.Contains(r.stderr, "did not shut down within 1m30s and was killed") {
		t.Errorf("without a time that the user has chosen, that of its init counts: %v, %+v", f.grace, r)
	}
	if r := f.run(t, "", "vm", "stop", "dev", "--grace", "0"); r.status != 0 || r.stderr != "" {
		t.Errorf("a kill that was asked for: %+v", r)
	}
}

func TestVMList_ShowsAlignedRows(t *testing.T) {
	f := &fake{vms: []banger.VM{
		{ID: "v1", Name: "dev", State: banger.VMRunning, ImageName: "default", CPUs: 1, MemoryMiB: 1024},
		{ID: "v2", Name: "longer-name", State: banger.VMStopped, CPUs: 16, MemoryMiB: 1536},
	}}
	const want = `NAME         STATE    IMAGE    CPUS  MEMORY  CREATED  ID
dev          running  default  1     1G      -        v1
longer-name  stopped  -        16    1536M   -        v2
`
	if out := f.must(t, "vm", "list"); out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

func TestDaemonStop_IsFineWithoutADaemonAndWaitsForItsEnd(t *testing.T) {
	idle := &fake{}
	idle.must(t, "daemon", "stop")
	if diff := cmp.Diff([]string{"wait-stopped"}, idle.asked); diff != "" || idle.running {
		t.Errorf("without a daemon: %s", diff)
	}
	busy := &fake{running: true}
	busy.must(t, "daemon", "stop")
	if diff := cmp.Diff([]string{"shutdown", "wait-stopped"}, busy.asked); diff != "" {
		t.Errorf("with a daemon: %s", diff)
	}
}

func TestDaemonStatusAndVersion_NeverStartADaemon(t *testing.T) {
	f := &fake{}
	if r := f.run(t, "", "daemon", "status"); r.status != 125 || !strings.Contains(r.stderr, "none is running") {
		t.Errorf("status: %+v", r)
	}
	if out := f.must(t, "version"); out != "banger v1\n" {
		t.Errorf("version: %q", out)
	}
	if f.running {
		t.Error("a daemon was started")
	}
}

func TestDoctor_FailsWhereBangerCannotWork(t *testing.T) {
	f := &fake{checks: []banger.Check{
		{Name: "kvm", Status: banger.CheckWarn, Detail: "absent", Hint: "load it"},
		{Name: "qemu", Status: banger.CheckFail, Detail: "not found"},
	}}
	r := f.run(t, "", "doctor")
	want := result{125, "warn  kvm: absent\n      hint: load it\nfail  qemu: not found\n", "banger: 1 of 2 checks failed\n"}
	if r != want {
		t.Errorf("got %+v", r)
	}
}

func buildReports() []banger.BuildProgress {
	return []banger.BuildProgress{
		{Stage: "download", Percent: -1},
		{Stage: "download", Percent: 5, ElapsedMS: 1000},
		{Stage: "unpack", Percent: 31, Detail: "tar\x1b", ElapsedMS: 1500},
		{Stage: "unpack", Percent: 35, ElapsedMS: 2000},
		{Stage: "unpack", Percent: 100, ElapsedMS: 61_000},
	}
}

func TestImageBuild_ReportsLinesWhereThereIsNoTerminal(t *testing.T) {
	f := &fake{progress: buildReports(), images: []banger.Image{{ID: "i1", Name: "default"}}}
	r := f.run(t, "", "image", "build")
	want := result{0, "default i1\n", "   0.0s    -  download\n   1.5s  31%  unpack: tar^[\n  61.0s 100%  unpack\n"}
	if r != want {
		t.Errorf("got %+v\nwant %+v", r, want)
	}
}

func TestImageBuild_DrawsABarOnATerminal(t *testing.T) {
	for _, ok := range []bool{true, false} {
		master, slave, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		if err := pty.Setsize(slave, &pty.Winsize{Rows: 24, Cols: 100}); err != nil {
			t.Fatal(err)
		}
		shown := make(chan string)
		go func() { shown <- readTerminal(t, master) }()
		drawBar(slave, ok)
		slave.Close()
		got := <-shown
		master.Close()
		if !strings.Contains(got, "unpack") || strings.Contains(got, "100 %") != ok {
			t.Errorf("ok %t: terminal got %q", ok, got)
		}
	}
}

func drawBar(terminal *os.File, ok bool) {
	p := newProgress(terminal)
	for _, report := range buildReports() {
		p.report(report)
	}
	p.end(ok)
}

func TestVMRename_NamesTheVMAndCompletesIt(t *testing.T) {
	f := &fake{running: true, vms: []banger.VM{{ID: "v1", Name: "dev"}}}
	if out := f.must(t, "vm", "rename", "dev", "build"); out != "" {
		t.Errorf("it prints %q", out)
	}
	if diff := cmp.Diff([]string{"rename-vm dev build"}, f.asked); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		args []string
		want bool
	}{{[]string{"d"}, true}, {[]string{"dev", ""}, false}} {
		out := f.must(t, append([]string{"__complete", "vm", "rename"}, c.args...)...)
		if strings.Contains(out, "dev") != c.want {
			t.Errorf("%q is completed with %q", c.args, out)
		}
	}
}
