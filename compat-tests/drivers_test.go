package compat

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Drivers are small programs, one per client library, that do what one line of JSON asks for: drivers/README.md. Here they
// are started, asked and ended.

// client is a row of drivers/clients.json.
type client struct {
	Name     string            `json:"name"`
	Language string            `json:"language"`
	Library  string            `json:"library"`
	Version  string            `json:"version"` // how the library's own version begins
	Command  []string          `json:"command"`
	Lacks    map[string]string `json:"lacks"` // what the library has no call for, and why
}

// lacks says whether the table knows that the library can't do one of these.
func (c client) lacks(parts ...string) bool {
	for _, part := range parts {
		if _, ok := c.Lacks[part]; ok {
			return true
		}
	}
	return false
}

var loadClients = sync.OnceValues(func() ([]client, error) {
	text, err := os.ReadFile("drivers/clients.json")
	if err != nil {
		return nil, err
	}
	var all []client
	return all, json.Unmarshal(text, &all)
})

func allClients(t testing.TB) []client {
	t.Helper()
	all, err := loadClients()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func clientNamed(t testing.TB, name string) client {
	t.Helper()
	for _, c := range allClients(t) {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no client %q", name)
	return client{}
}

const (
	driverNotInstalled = 77 // a driver's exit code
	driverReadyWithin  = 60 * time.Second
	driverAnswerWithin = 90 * time.Second // a driver itself gives up after 60 s
	driverEndWithin    = 20 * time.Second
)

// errUnsupported is what a driver says that has no such call.
var errUnsupported = errors.New("not in the client")

// driver is a running driver. One goroutine at a time asks it. It ends with the test, by its process id.
type driver struct {
	t       testing.TB
	client  client
	version string // the library's, as it says itself
	runtime string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	answers chan []byte // lines of standard output; closed at its end
	errs    *lastText
	exited  chan struct{}
	within  time.Duration // how long an answer may take
	lastID  int
}

// startDriver starts a client's driver and waits until it is ready. A client that is not installed is left out.
func startDriver(t testing.TB, sys system, c client) *driver {
	t.Helper()
	return startDriverFor(t, t, sys, c)
}

// startDriverFor starts in one test a driver that ends with another, around it.
func startDriverFor(t, owner testing.TB, sys system, c client) *driver {
	t.Helper()
	d := &driver{t: t, client: c, answers: make(chan []byte, 16), errs: &lastText{}, exited: make(chan struct{}), within: driverAnswerWithin}
	d.cmd = exec.Command(driverProgram(t, c), "--bootstrap", sys.bootstrap(), "--client", c.Name)
	d.cmd.SysProcAttr = dieWithParent()
	d.cmd.Env = append(os.Environ(), "TMPDIR="+owner.TempDir()) // a client that is killed leaves native libraries there
	d.cmd.Stderr = d.errs
	d.cmd.WaitDelay = 5 * time.Second // if a grandchild holds on to standard error
	stdin, err := d.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.stdin = stdin
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	go d.collect(out)
	owner.Cleanup(d.end)
	d.waitReady()
	return d
}

// collect takes the driver's lines until it ends.
func (d *driver) collect(out io.Reader) {
	lines := bufio.NewReaderSize(out, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		d.answers <- line
	}
	close(d.answers)
	d.cmd.Wait()
	close(d.exited)
}

func (d *driver) waitReady() {
	d.t.Helper()
	var ready struct {
		Ready           bool
		Version, Client string
		Runtime         string
	}
	if err := d.answer(driverReadyWithin, &ready); err != nil {
		d.kill()
		if d.cmd.ProcessState.ExitCode() == driverNotInstalled {
			leaveOut(d.t, "%s is not installed (make setup does it): %s", d.client.Name, d.errs)
		}
		d.t.Fatalf("%s does not start: %v\n%s", d.client.Name, err, d.errs)
	}
	d.version, d.runtime = ready.Version, ready.Runtime
	if !ready.Ready || ready.Client != d.client.Name {
		d.t.Fatalf("%s introduces itself as %+v", d.client.Name, ready)
	}
	if d.client.Version == "" || !strings.HasPrefix(ready.Version, d.client.Version) {
		d.t.Errorf("%s is version %q, drivers/clients.json says %q", d.client.Name, ready.Version, d.client.Version)
	}
}

// answer decodes the next line.
func (d *driver) answer(within time.Duration, into any) error {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	select {
	case line, ok := <-d.answers:
		if !ok {
			return errors.New("the driver has ended")
		}
		if err := json.Unmarshal(line, into); err != nil {
			return fmt.Errorf("%w in %.200q", err, line)
		}
		return nil
	case <-timeout.C:
		return fmt.Errorf("no answer within %v", within)
	}
}

// fields are a request's.
type fields = map[string]any

// ask sends a request and decodes its answer into a pointer, or nowhere if that is nil.
func (d *driver) ask(op string, req fields, into any) error {
	d.t.Helper()
	d.lastID++
	line := fields{"id": d.lastID, "op": op}
	for k, v := range req {
		line[k] = v
	}
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := d.stdin.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("%s: %s: %w", d.client.Name, op, err)
	}
	var raw json.RawMessage
	if err := d.answer(d.within, &raw); err != nil {
		return fmt.Errorf("%s: %s: %w\n%s", d.client.Name, op, err, d.errs)
	}
	var said struct {
		ID          int
		OK          bool
		Error       any
		Unsupported bool
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return err
	}
	switch {
	case said.ID != d.lastID:
		return fmt.Errorf("%s: %s: answer %d to request %d", d.client.Name, op, said.ID, d.lastID)
	case said.Unsupported:
		return fmt.Errorf("%s: %s: %w: %v", d.client.Name, op, errUnsupported, said.Error)
	case !said.OK:
		return fmt.Errorf("%s: %s: %v", d.client.Name, op, said.Error)
	case into == nil:
		return nil
	}
	return json.Unmarshal(raw, into)
}

// must asks and fails the test on any error.
func (d *driver) must(op string, req fields, into any) {
	d.t.Helper()
	if err := d.ask(op, req, into); err != nil {
		d.t.Fatal(err)
	}
}

// kill ends the driver as a crash would.
func (d *driver) kill() {
	d.cmd.Process.Kill()
	for range d.answers {
	}
	<-d.exited
}

// quit asks the driver to close everything and fails the test if it does not end cleanly.
func (d *driver) quit() {
	d.t.Helper()
	if err := d.ask("quit", nil, nil); err != nil {
		d.t.Error(err)
	}
	d.stdin.Close()
	select {
	case <-d.exited:
	case <-time.After(driverEndWithin):
		d.t.Errorf("%s does not end within %v of quit", d.client.Name, driverEndWithin)
		d.kill()
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		d.t.Errorf("%s ends with exit code %d\n%s", d.client.Name, code, d.errs)
	}
}

// end is the test's: whatever happened, nothing of the driver remains.
func (d *driver) end() {
	select {
	case <-d.exited:
	default:
		d.kill()
	}
	if d.t.Failed() && d.errs.String() != "" {
		d.t.Logf("%s says at last:\n%s", d.client.Name, d.errs)
	}
}

// driverProgram is the path of a client's driver; those in Go are built here, once.
func driverProgram(t testing.TB, c client) string {
	t.Helper()
	module, isGo := strings.CutPrefix(c.Command[0], "go")
	if !isGo || strings.HasPrefix(module, "/") {
		path, err := filepath.Abs(filepath.Join("drivers", c.Command[0]))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	build := buildDriver
	if module != "" {
		build = buildOldDriver
	}
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var (
	driversDir     string // of what was built, "" before
	driversDirOnce sync.Mutex
	buildDriver    = sync.OnceValues(func() (string, error) { return goBuildDriver("driver") })
	buildOldDriver = sync.OnceValues(func() (string, error) {
		return goBuildDriver("driver-sarama-1.45", "-modfile=sarama-1.45.mod", "-tags=sarama_old")
	})
)

func goBuildDriver(name string, flags ...string) (string, error) {
	driversDirOnce.Lock()
	defer driversDirOnce.Unlock()
	if driversDir == "" {
		dir, err := os.MkdirTemp("", "streambus-drivers")
		if err != nil {
			return "", err
		}
		driversDir = dir
	}
	path := filepath.Join(driversDir, name)
	build := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), ".")...)
	build.Dir = "drivers/go"
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return path, nil
}

func removeDrivers() {
	if driversDir != "" {
		os.RemoveAll(driversDir)
	}
}

// lastText keeps the end of what is written to it.
type lastText struct {
	mu   sync.Mutex
	text []byte
}

func (l *lastText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = bytes.Clone(lastBytes(append(l.text, b...), 8000))
	return len(b), nil
}

func (l *lastText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
