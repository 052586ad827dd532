package compat

import (
	"bufio"
	"encoding/base64"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const toolWithin = 90 * time.Second

// toolbox runs Kafka's command line tools one after the other in one JVM (drivers/java/tools/ToolRunner.java says why). It
// ends with the test, by its process id.
type toolbox struct {
	sys     system
	b       *broker // where it is one
	stdin   io.Writer
	answers chan string // lines; closed when the JVM has ended
	errs    *lastText
}

// toolSaid is what a tool printed, and its exit code.
type toolSaid struct {
	code     int
	out, err string
}

func startTools(t testing.TB, sys system) *toolbox {
	t.Helper()
	needJava(t)
	needTool(t, "javac") // a JDK compiles the runner as it starts it
	source, err := filepath.Abs("drivers/java/tools/ToolRunner.java")
	if err != nil {
		t.Fatal(err)
	}
	args := javaArgs(t, "512m", source)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = dieWithParent()
	b, _ := sys.(*broker)
	x := &toolbox{sys: sys, b: b, answers: make(chan string), errs: &lastText{}}
	cmd.Stderr = x.errs
	if x.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(x.answers)
		for lines := bufio.NewReader(out); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			x.answers <- line
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		for range x.answers {
		}
		cmd.Wait()
	})
	return x
}

// call runs a tool with --bootstrap-server and these arguments. A name without dots is a class of the tools' package.
func (x *toolbox) call(t testing.TB, stdin, tool string, args ...string) toolSaid {
	t.Helper()
	class := tool
	if !strings.Contains(tool, ".") {
		class = "org.apache.kafka.tools." + tool
	}
	if tool == "ClusterTool" { // its command comes first
		args = append(slices.Clone(args), "--bootstrap-server", x.sys.bootstrap())
	} else {
		args = append([]string{"--bootstrap-server", x.sys.bootstrap()}, args...)
	}
	line := strings.Join(append([]string{class, stdin}, args...), "\x00")
	if _, err := io.WriteString(x.stdin, base64.StdEncoding.EncodeToString([]byte(line))+"\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case answer, ok := <-x.answers:
		if !ok {
			t.Fatalf("the JVM of the tools has ended\n%s", x.errs)
		}
		return decodeSaid(t, answer)
	case <-time.After(toolWithin):
		t.Fatalf("%s %s: no end within %v", tool, strings.Join(args, " "), toolWithin)
	}
	return toolSaid{}
}

func decodeSaid(t testing.TB, answer string) toolSaid {
	t.Helper()
	parts := strings.Fields(answer)
	if len(parts) != 3 {
		t.Fatalf("the tools answer %q", answer)
	}
	code, err := strconv.Atoi(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	said := toolSaid{code: code}
	for i, into := range []*string{&said.out, &said.err} {
		if part := parts[1+i]; part != "-" {
			text, err := base64.StdEncoding.DecodeString(part)
			if err != nil {
				t.Fatal(err)
			}
			*into = string(text)
		}
	}
	return said
}

// run fails the test if the tool does not end with 0 or its output lacks one of these lines (as squeeze makes them).
func (x *toolbox) run(t testing.TB, args []string, lines ...string) string {
	t.Helper()
	said := x.call(t, "", args[0], args[1:]...)
	if said.code != 0 {
		t.Fatalf("%s: exit code %d\n%s\n%s", strings.Join(args, " "), said.code, said.out, said.err)
	}
	for _, line := range lines {
		if !hasLine(said.out, line) {
			t.Errorf("%s: no line %q in\n%s\n%s", strings.Join(args, " "), line, said.out, said.err)
		}
	}
	return said.out
}

// soon is run, repeated for a while until all lines are there: what was changed shows in Kafka a moment later.
func (x *toolbox) soon(t testing.TB, args []string, lines ...string) {
	t.Helper()
	var said toolSaid
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); {
		said = x.call(t, "", args[0], args[1:]...)
		if said.code == 0 && !slices.ContainsFunc(lines, func(line string) bool { return !hasLine(said.out, line) }) {
			return
		}
	}
	t.Errorf("%s: not soon %q, but exit code %d and\n%s\n%s", strings.Join(args, " "), lines, said.code, said.out, said.err)
}

// refused fails the test unless the tool says this. Some tools end with 0 all the same.
func (x *toolbox) refused(t testing.TB, args []string, why string) {
	t.Helper()
	said := x.call(t, "", args[0], args[1:]...)
	if !strings.Contains(said.out+said.err, why) {
		t.Errorf("%s: not refused with %q, but exit code %d and\n%s\n%s", strings.Join(args, " "), why, said.code, said.out, said.err)
	}
}

// tool is a command line in words.
func tool(words string, more ...string) []string {
	return append(strings.Fields(words), more...)
}

// hasLine says whether a line of the text is this one, any run of spaces counting as one. A line that ends with an ellipsis
// is a beginning.
func hasLine(text, want string) bool {
	begin, isBegin := strings.CutSuffix(want, "...")
	for line := range strings.Lines(text) {
		line = squeeze(line)
		if line == want || isBegin && strings.HasPrefix(line, begin) {
			return true
		}
	}
	return false
}

func squeeze(line string) string { return strings.Join(strings.Fields(line), " ") }
