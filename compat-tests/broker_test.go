package compat

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// readyWithin bounds a start, or a start after a crash, on a busy machine. The tests of start-up time have bounds of
// their own.
const readyWithin = 60 * time.Second

// broker is one broker process under test with ports and a directory of its own. It ends with the test, by its pid.
type broker struct {
	t          testing.TB
	id         int      // of the node
	dir        string   // data directory
	addr       string   // Kafka listener
	admin      string   // admin listener, "" for Apache Kafka
	cluster    string   // cluster (or controller) listener
	voters     string   // ID@HOST:PORT of all nodes, "" for a broker that is alone
	properties string   // the path of a server.properties that says all, "" if flags do
	flags      []string // more flags of `streambus serve`
	wrap       []string // a command line before the binary, such as strace's
	namespace  string   // the network namespace that the process runs in, "" for the tests' own
	program    string   // the binary
	env        []string // nil: the tests' own
	logPath    string

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
	err    error         // what Wait said
}

// newBroker prepares a broker on an empty directory without starting it.
func newBroker(t testing.TB, flags ...string) *broker {
	t.Helper()
	b := prepareBroker(t, 1, flags...)
	b.format()
	return b
}

// prepareBroker gives a node its directory and ports.
func prepareBroker(t testing.TB, id int, flags ...string) *broker {
	t.Helper()
	work := t.TempDir()
	ports := freePorts(t, 3)
	b := &broker{
		t:       t,
		id:      id,
		dir:     filepath.Join(work, "data"),
		addr:    ports[0],
		admin:   ports[1],
		cluster: ports[2],
		flags:   flags,
		program: program,
		logPath: filepath.Join(work, "broker.log"),
	}
	if againstKafka {
		b.admin = ""
	}
	t.Cleanup(b.cleanup)
	return b
}

// format prepares the directory where the broker needs that.
func (b *broker) format() {
	b.t.Helper()
	if againstKafka {
		b.formatKafka()
	}
}

// startBroker starts a broker on an empty directory and waits until it serves.
func startBroker(t testing.TB, flags ...string) *broker {
	t.Helper()
	b := newBroker(t, flags...)
	b.start()
	return b
}

// start executes the broker and waits until it serves.
func (b *broker) start() {
	b.t.Helper()
	b.exec()
	b.waitReady(readyWithin)
}

// exec starts the process and returns at once.
func (b *broker) exec() {
	b.t.Helper()
	args := []string{
		b.program, "serve", "--data-dir", b.dir, "--listen", b.addr, "--admin-listen", b.admin,
		"--cluster-listen", b.cluster,
	}
	args = slices.Concat(args, b.clusterFlags(), b.flags)
	if b.properties != "" {
		args = slices.Concat([]string{b.program, "serve", "--config", b.properties, "--admin-listen", b.admin}, b.flags)
	}
	if againstKafka {
		args = b.kafkaCommand()
	}
	args = append(append([]string{}, b.wrap...), args...)
	if b.namespace != "" {
		args = append([]string{"ip", "netns", "exec", b.namespace}, args...) // which becomes the command: the pid is the broker's
	}
	log, err := os.OpenFile(b.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		b.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr, cmd.Env = dieWithParent(), b.env
	if err := cmd.Start(); err != nil {
		b.t.Fatalf("starting the broker: %v", err)
	}
	exited := make(chan struct{})
	b.mu.Lock()
	b.cmd, b.exited, b.err = cmd, exited, nil
	b.mu.Unlock()
	go func() {
		err := cmd.Wait()
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
		close(exited)
	}()
}

// waitReady waits until the broker answers Kafka requests and, where it has one, its readiness page says so.
func (b *broker) waitReady(within time.Duration) {
	b.t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := b.ready()
		if err == nil {
			return
		}
		select {
		case <-b.exited:
			b.t.Fatalf("the broker ended while starting: %v", b.err)
		default:
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("the broker does not serve after %v: %v", within, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// ready asks once.
func (b *broker) ready() error {
	w, err := dialWire(b.addr)
	if err != nil {
		return err
	}
	defer w.close()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 4
	resp, err := w.ask(req)
	if err != nil {
		return err
	}
	if len(resp.(*kmsg.MetadataResponse).Brokers) == 0 {
		return errors.New("no broker in the metadata")
	}
	if b.admin == "" {
		return nil
	}
	client := http.Client{Timeout: 5 * time.Second}
	page, err := client.Get("http://" + b.admin + "/readyz")
	if err != nil {
		return err
	}
	page.Body.Close()
	if page.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: %s", page.Status)
	}
	return nil
}

// pid is the broker's process id, also when another program such as strace started it.
func (b *broker) pid() int {
	b.t.Helper()
	pid := b.cmd.Process.Pid
	if len(b.wrap) == 0 {
		return pid
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		b.t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.Fields(string(children) + " 0")[0])
	if err != nil || child == 0 {
		b.t.Fatalf("no child of %s: %q", b.wrap[0], children)
	}
	return child
}

// kill9 ends the process as a crash would and waits until it is gone.
func (b *broker) kill9() {
	b.t.Helper()
	if err := b.cmd.Process.Kill(); err != nil {
		b.t.Fatalf("kill -9: %v", err)
	}
	<-b.exited
}

// stop asks the process to end and fails the test if it does not do so cleanly.
func (b *broker) stop() {
	b.t.Helper()
	if err := syscall.Kill(b.pid(), syscall.SIGTERM); err != nil {
		b.t.Fatalf("SIGTERM: %v", err)
	}
	select {
	case <-b.exited:
	case <-time.After(60 * time.Second):
		b.t.Fatal("the broker did not end within 60 s of SIGTERM")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil && !againstKafka { // a JVM ends with 143
		b.t.Errorf("the broker ended on SIGTERM with %v, want exit code 0", b.err)
	}
}

// verify stops the broker and checks its directory offline: every frame, index entry and batch.
func (b *broker) verify() {
	b.t.Helper()
	b.stop()
	if againstKafka {
		return
	}
	verifyDirectory(b.t, b.dir)
}

// verifyDirectory checks a data directory that no broker has open.
func verifyDirectory(t testing.TB, dir string) {
	t.Helper()
	if out, err := exec.Command(program, "verify", dir).CombinedOutput(); err != nil {
		t.Errorf("streambus verify %s: %v\n%s", dir, err, lastBytes(out, 4000))
	}
}

// alive fails the test if the process has ended.
func (b *broker) alive() {
	b.t.Helper()
	select {
	case <-b.exited:
		b.t.Fatalf("the broker is gone: %v", b.err)
	default:
	}
}

func (b *broker) cleanup() {
	b.mu.Lock()
	cmd, exited := b.cmd, b.exited
	b.mu.Unlock()
	if cmd != nil {
		select {
		case <-exited:
		default:
			if b.t.Failed() && b.admin != "" {
				b.t.Logf("what the broker counted of errors:\n%s", b.troubles())
			}
			if len(b.wrap) > 0 {
				syscall.Kill(b.pid(), syscall.SIGKILL)
			}
			cmd.Process.Kill()
			<-exited
		}
	}
	if b.t.Failed() {
		b.t.Logf("end of the log of node %d:\n%s", b.id, tail(b.logPath, 60))
	}
}

// troubles are the metrics that count what went wrong.
func (b *broker) troubles() string {
	client := http.Client{Timeout: 5 * time.Second}
	page, err := client.Get("http://" + b.admin + "/metrics")
	if err != nil {
		return err.Error()
	}
	defer page.Body.Close()
	var out strings.Builder
	for lines := bufio.NewScanner(page.Body); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "streambus_") && (strings.Contains(line, "error") || strings.Contains(line, "fail") || strings.Contains(line, "trouble")) {
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

// logText is everything the broker has logged.
func (b *broker) logText() string {
	b.t.Helper()
	text, err := os.ReadFile(b.logPath)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func tail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return string(bytes.Join(all, []byte("\n")))
}
