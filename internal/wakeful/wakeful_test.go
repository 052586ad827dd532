package wakeful

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv("WAKEFUL_TEST") != "" {
		Relaunch()
		fmt.Println(os.Getpid(), os.Getenv("GODEBUG"), os.Args[1:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestTheSettingIsAddedOnce(t *testing.T) {
	for _, c := range []struct {
		debug, want string
		done        bool
	}{
		{"", setting, false},
		{"gctrace=1", "gctrace=1," + setting, false},
		{"gctrace=1,schedtrace=1000", "gctrace=1,schedtrace=1000", true},
		{setting, setting, true},
	} {
		if value, done := wakeful(c.debug); value != c.want || done != c.done {
			t.Errorf("%q becomes %q, done %v", c.debug, value, done)
		}
	}
}

func TestTheProgramGoesOnUnderItsOwnID(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux's programs are relaunched")
	}
	c := exec.Command(os.Args[0], "a", "b c")
	c.Env = append(os.Environ(), "WAKEFUL_TEST=1", "GODEBUG=madvdontneed=1")
	var out strings.Builder
	c.Stdout = &out
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d madvdontneed=1,%s [a b c]\n", c.Process.Pid, setting); out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
