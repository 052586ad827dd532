package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// subject is one broker in one setting.
type subject struct {
	title   string
	note    string
	prepare func(context.Context, settings, place) error // once, on the empty directory; may be nil
	command func(settings, place) *exec.Cmd
}

// place is where one run of a broker lives.
type place struct {
	dir   string
	ports [3]int // clients, cluster, admin
}

func (p place) address(i int) string { return "127.0.0.1:" + strconv.Itoa(p.ports[i]) }

var subjects = map[string]subject{
	"kafka": {
		title: "Apache Kafka " + kafkaVersion, note: "its defaults: acknowledges before anything is synced",
		prepare: formatKafka(""), command: kafkaCommand,
	},
	"kafka-sync": {
		title: "Apache Kafka " + kafkaVersion + ", synced", note: "log.flush.interval.messages=1: syncs before it acknowledges",
		prepare: formatKafka("log.flush.interval.messages=1\n"), command: kafkaCommand,
	},
	"streambus": {
		title: "StreamBus", note: "its defaults: log.flush.policy=always, syncs in groups before it acknowledges",
		command: streambusCommand(),
	},
	"streambus-never": {
		title: "StreamBus, not synced", note: "log.flush.policy=never: acknowledges before anything is synced",
		command: streambusCommand("--set", "log.flush.policy=never"),
	},
}

// measures are what the rows with targets use beside them: programs that do nothing but the work that can't be left out, and
// a Kafka that unlinks the files of removed topics at once, not a minute later under somebody else's round.
var measures = map[string]subject{
	"ceiling":        {title: "ceiling", command: ceilingCommand()},
	"ceiling-synced": {title: "ceiling with group commit", command: ceilingCommand("--group-commit")},
	"ceiling-apart":  {title: "ceiling that answers by sendfile", command: ceilingCommand("--apart")},
	"kafka-tidy": {
		title: "Apache Kafka " + kafkaVersion, command: kafkaCommand,
		prepare: formatKafka("log.segment.delete.delay.ms=100\nlog.initial.task.delay.ms=500\n"),
	},
}

func subjectOf(name string) (subject, bool) {
	for _, known := range []map[string]subject{subjects, measures} {
		if found, ok := known[name]; ok {
			return found, true
		}
	}
	return subject{}, false
}

func subjectNames() []string {
	return []string{"kafka", "streambus-never", "kafka-sync", "streambus"}
}

func streambusCommand(extra ...string) func(settings, place) *exec.Cmd {
	return func(s settings, p place) *exec.Cmd {
		args := []string{
			"serve", "--data-dir", filepath.Join(p.dir, "data"), "--listen", p.address(0),
			"--cluster-listen", p.address(1), "--admin-listen", p.address(2), "--log-level", "warn",
		}
		return exec.Command(s.streambus, append(args, extra...)...)
	}
}

func ceilingCommand(extra ...string) func(settings, place) *exec.Cmd {
	return func(s settings, p place) *exec.Cmd {
		return exec.Command(s.ceiling, append([]string{"--listen", p.address(0), "--dir", p.dir}, extra...)...)
	}
}

// kafkaOptions are those of Kafka's own start script.
var kafkaOptions = []string{
	"-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
	"-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true",
}

func kafkaCommand(s settings, p place) *exec.Cmd {
	args := append(slices.Clone(kafkaOptions), "-cp", filepath.Join(s.jars, "*"), "kafka.Kafka", properties(p))
	return exec.Command("java", args...)
}

func properties(p place) string { return filepath.Join(p.dir, "server.properties") }

func formatKafka(extra string) func(context.Context, settings, place) error {
	return func(ctx context.Context, s settings, p place) error {
		text := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=%[2]s
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
advertised.listeners=PLAINTEXT://%[1]s
controller.listener.names=CONTROLLER
log.dirs=%[3]s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
%[4]s`, p.address(0), p.address(1), filepath.Join(p.dir, "data"), extra)
		if err := os.WriteFile(properties(p), []byte(text), 0o600); err != nil {
			return err
		}
		out, err := exec.CommandContext(ctx, "java", "-cp", filepath.Join(s.jars, "*"), "kafka.tools.StorageTool",
			"format", "--standalone", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", properties(p)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("format: %w\n%s", err, out)
		}
		return nil
	}
}

// running is a broker that was started here.
type running struct {
	cmd     *exec.Cmd
	place   place
	started time.Time
	ended   chan struct{} // closed when the process is gone
}

func (s settings) start(ctx context.Context, name string) (*running, error) {
	subject, ok := subjectOf(name)
	if !ok {
		return nil, fmt.Errorf("unknown subject %q", name)
	}
	p, err := newPlace(s.dir)
	if err != nil {
		return nil, err
	}
	r := &running{place: p, ended: make(chan struct{})}
	if subject.prepare != nil {
		if err := subject.prepare(ctx, s, p); err != nil {
			return nil, errors.Join(err, os.RemoveAll(p.dir))
		}
	}
	r.cmd = subject.command(s, p)
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(p.dir))
	}
	defer log.Close()
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.started = time.Now()
	if err := r.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(p.dir))
	}
	go func() { _ = r.cmd.Wait(); close(r.ended) }()
	if err := r.await(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *running) pid() int { return r.cmd.Process.Pid }

func newPlace(parent string) (place, error) {
	var p place
	var err error
	if p.dir, err = os.MkdirTemp(parent, "streambus-compare-"); err != nil {
		return p, err
	}
	for i := range p.ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return p, err
		}
		defer l.Close() // all at the end: three different ones
		p.ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

// await waits until the broker's port is open.
func (r *running) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		c, err := net.Dial("tcp", r.place.address(0))
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("does not answer: %w", err), r.stop(true))
		case <-r.ended:
			text, _ := os.ReadFile(filepath.Join(r.place.dir, "log"))
			return errors.Join(fmt.Errorf("ended by itself: %s", text), os.RemoveAll(r.place.dir))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// stop ends the broker and removes its data. What a broker still had to say is in the error.
func (r *running) stop(failed bool) error {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
	case <-time.After(30 * time.Second):
		_ = r.cmd.Process.Kill()
		<-r.ended
	}
	var err error
	if text, _ := os.ReadFile(filepath.Join(r.place.dir, "log")); failed && len(text) > 0 {
		err = fmt.Errorf("its log ends with:\n%s", text[max(0, len(text)-2000):])
	}
	return errors.Join(err, os.RemoveAll(r.place.dir))
}
