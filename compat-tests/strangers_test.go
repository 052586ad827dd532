package compat

import (
	"bytes"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// refusedStart runs a node that must not come up, and gives what it said.
func refusedStart(t *testing.T, flags ...string) string {
	t.Helper()
	ports := freePorts(t, 3)
	args := append([]string{"serve", "--listen", ports[0], "--admin-listen", ports[1], "--cluster-listen", ports[2]}, flags...)
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr = dieWithParent()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-time.After(readyWithin):
		cmd.Process.Kill()
		<-ended
		t.Fatalf("it goes on with %v:\n%s", flags, out.String())
	}
	var failed *exec.ExitError
	if !errors.As(err, &failed) || failed.ExitCode() != 1 {
		t.Errorf("%v: ended with %v, want exit code 1", flags, err)
	}
	return out.String()
}

// TestNodesThatDoNotBelongAreRefused starts processes with the wrong directory for the cluster or for the node: each ends with exit
// code 1 and the reason, and the cluster goes on.
func TestNodesThatDoNotBelongAreRefused(t *testing.T) {
	if againstKafka {
		t.Skip("Kafka is told of its cluster by other means")
	}
	member := startBroker(t)
	stranger := startBroker(t, "--node-id", "2")
	stranger.stop()
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--data-dir", stranger.dir, "--node-id", "2", "--join", member.cluster}, "the data directory is of cluster "},
		{[]string{"--data-dir", stranger.dir, "--node-id", "3", "--join", member.cluster}, "is of node 2, this is node 3"},
		{[]string{"--data-dir", member.dir, "--node-id", "1"}, "in use"},
		{[]string{"--data-dir", t.TempDir(), "--node-id", "1", "--join", member.cluster}, "node id 1 is taken"},
	} {
		if said := refusedStart(t, c.flags...); !strings.Contains(said, c.want) {
			t.Errorf("%v: %q is not in\n%s", c.flags, c.want, said)
		}
	}
	member.alive()
	createTopic(t, member, "unharmed", 1)
	openWire(t, member.addr).mustProduce(t, "unharmed", 0, plainBatch([]byte("still there")).bytes())
}

// TestAKafkaClientOnTheClusterListenerIsNamed: a client with the wrong port tries for ever; the log says so once in a while.
func TestAKafkaClientOnTheClusterListenerIsNamed(t *testing.T) {
	if againstKafka {
		t.Skip("this is about StreamBus's cluster listener")
	}
	b := startBroker(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(b.cluster), kgo.RetryBackoffFn(func(int) time.Duration { return time.Millisecond }))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 20 {
		if err := client.Ping(t.Context()); err == nil {
			t.Fatal("the cluster listener answers Kafka requests")
		}
	}
	c, err := net.Dial("tcp", b.cluster)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(bytes.Repeat([]byte{0xff}, 1<<20)) // is hung up on somewhere in between
	const line = "a Kafka client, it seems"
	for end := time.Now().Add(readyWithin); !strings.Contains(b.logText(), line) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := strings.Count(b.logText(), line); n == 0 || n > 1+int(readyWithin/(10*time.Second)) {
		t.Errorf("%q was logged %d times", line, n)
	}
	b.alive()
}
