package compat

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A writer sends the whole corpus to a topic; a reader gives every record of a topic to add, partition by partition in
// the order in which it got them. ends[p] is the number of records in partition p.

type writer struct {
	name  string
	needs []string
	write func(t *testing.T, b *broker, topic string, c *corpus)
}

type reader struct {
	name string
	read func(t *testing.T, b *broker, topic string, ends []int64, add func(partition int, value []byte))
}

func kcatWriter(name string, flags ...string) writer {
	return writer{name: name, needs: []string{"kcat"}, write: func(t *testing.T, b *broker, topic string, c *corpus) {
		args := append([]string{"kcat", "-P", "-b", b.addr, "-t", topic, "-l"}, flags...)
		runClient(t, "", append(args, c.path)...)
	}}
}

var (
	javaWriter = writer{"java", []string{"java"}, javaWrite}
	goWriter   = writer{"franz-go", nil, goWrite}

	kcatReader = reader{"kcat", kcatRead}
	javaReader = reader{"java", javaRead}
	goReader   = reader{"franz-go", goRead}
)

func javaWrite(t *testing.T, b *broker, topic string, c *corpus) {
	runClient(t, c.path, javaArgs(t, "256m", "org.apache.kafka.tools.ConsoleProducer",
		"--bootstrap-server", b.addr, "--topic", topic)...)
}

// goWrite keys each line by its package, so that the partition is the key's.
func goWrite(t *testing.T, b *broker, topic string, c *corpus) {
	client := openClient(t, b)
	var once sync.Once
	for n, line := range c.lines {
		client.Produce(t.Context(), &kgo.Record{Topic: topic, Key: []byte(c.names[n]), Value: line},
			func(r *kgo.Record, err error) {
				if err != nil {
					once.Do(func() { t.Errorf("franz-go: produce to %s: %v", topic, err) })
				}
			})
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func kcatRead(t *testing.T, b *broker, topic string, _ []int64, add func(int, []byte)) {
	cmd := exec.Command("kcat", "-C", "-b", b.addr, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%p %s\n")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	eachLine(t, cmd, func(line []byte) {
		p, value, _ := bytes.Cut(line, []byte(" "))
		partition, err := strconv.Atoi(string(p))
		if err != nil {
			t.Fatalf("kcat printed %.80q", line)
		}
		add(partition, value)
	})
	if errs.Len() > 0 {
		t.Errorf("kcat: %s", errs.Bytes())
	}
}

// javaRead runs one console consumer after the other: the tool reads one partition if it is to read without a group.
func javaRead(t *testing.T, b *broker, topic string, ends []int64, add func(int, []byte)) {
	for p, end := range ends {
		if end == 0 {
			continue
		}
		args := javaArgs(t, "256m", "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", b.addr,
			"--topic", topic, "--partition", strconv.Itoa(p), "--offset", "earliest",
			"--max-messages", strconv.FormatInt(end, 10), "--timeout-ms", "30000")
		cmd := exec.Command(args[0], args[1:]...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		got := int64(0)
		eachLine(t, cmd, func(line []byte) {
			got++
			add(p, line)
		})
		if got != end {
			t.Errorf("console consumer: %d of %d records of %s-%d\n%s", got, end, topic, p, lastBytes(errs.Bytes(), 2000))
		}
	}
}

func eachLine(t *testing.T, cmd *exec.Cmd, f func(line []byte)) {
	t.Helper()
	cmd.SysProcAttr = dieWithParent()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 1<<20), 16<<20)
	for lines.Scan() {
		f(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v", cmd.Path, err)
	}
}

func goRead(t *testing.T, b *broker, topic string, ends []int64, add func(int, []byte)) {
	for r := range records(t, b, topic, ends) {
		add(int(r.Partition), r.Value)
	}
}

// records reads a topic from the start to the given ends with franz-go.
func records(t testing.TB, sys system, topic string, ends []int64) func(yield func(*kgo.Record) bool) {
	return recordsFrom(t, sys, topic, make([]int64, len(ends)), ends)
}

// recordsFrom reads a topic from the given offsets, or where a partition starts later from there, to the given ends.
func recordsFrom(t testing.TB, sys system, topic string, starts, ends []int64) func(yield func(*kgo.Record) bool) {
	return func(yield func(*kgo.Record) bool) {
		want := map[int32]int64{}
		from := map[int32]kgo.Offset{}
		for p, end := range ends {
			if end > starts[p] {
				want[int32(p)] = end
				from[int32(p)] = kgo.NewOffset().At(starts[p])
			}
		}
		client := openClient(t, sys, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
		defer client.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		for len(want) > 0 {
			fetches := client.PollFetches(ctx)
			if err := ctx.Err(); err != nil {
				t.Errorf("franz-go: %s: %v, still to come: %v", topic, err, want)
				return
			}
			fetches.EachError(func(topic string, p int32, err error) { t.Errorf("franz-go: %s-%d: %v", topic, p, err) })
			for it := fetches.RecordIter(); !it.Done(); {
				r := it.Next()
				if !yield(r) {
					return
				}
				if r.Offset+1 >= want[r.Partition] {
					delete(want, r.Partition)
				}
			}
		}
	}
}

// backSoon are options of a client that works on soon after its broker is back: else most of the time goes by without a load.
var backSoon = []kgo.Opt{
	kgo.MetadataMinAge(100 * time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
}

// openClient is a franz-go client that is closed with the test.
func openClient(t testing.TB, sys system, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(seeds(sys)...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// createTopic makes a topic with the configs (key, value, key, value...).
func createTopic(t testing.TB, sys system, topic string, partitions int, configs ...string) {
	t.Helper()
	admin := kadm.NewClient(openClient(t, sys))
	settings := map[string]*string{}
	for i := 0; i+1 < len(configs); i += 2 {
		settings[configs[i]] = &configs[i+1]
	}
	if _, err := admin.CreateTopic(t.Context(), int32(partitions), int16(sys.replicas()), settings, topic); err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
	settle(t, sys, topic)
}

// settle waits until every broker knows a new topic and every partition has its leader at work. On one node StreamBus
// answers CreateTopics when that is so, and the tests hold it to that; in a cluster, and in Apache Kafka, the others hear
// of a topic a moment later.
func settle(t testing.TB, sys system, topic string) {
	t.Helper()
	if !againstKafka && len(seeds(sys)) == 1 {
		return
	}
	for _, addr := range seeds(sys) {
		eventually(t, 30*time.Second, addr+" knows "+topic, func() bool {
			m, err := metadataOf(addr, topic)
			return err == nil && m.Topics[0].ErrorCode == 0
		})
	}
	admin := kadm.NewClient(openClient(t, sys))
	eventually(t, 30*time.Second, topic+" has its leaders", func() bool {
		listed, err := admin.ListEndOffsets(t.Context(), topic)
		return err == nil && listed.Error() == nil
	})
}

// metadataOf asks one broker, of the topics or of all.
func metadataOf(addr string, topics ...string) (*kmsg.MetadataResponse, error) {
	w, err := dialWire(addr)
	if err != nil {
		return nil, err
	}
	defer w.close()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	req.AllowAutoTopicCreation = false
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &topic
		req.Topics = append(req.Topics, t)
	}
	if len(topics) == 0 {
		req.Topics = nil // all
	}
	resp, err := w.ask(req)
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.MetadataResponse), nil
}

// endOffsets are the high watermarks of a topic's partitions.
func endOffsets(t testing.TB, sys system, topic string, partitions int) []int64 {
	t.Helper()
	listed, err := kadm.NewClient(openClient(t, sys)).ListEndOffsets(t.Context(), topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		t.Fatalf("end offsets of %s: %v", topic, err)
	}
	ends := make([]int64, partitions)
	for p := range ends {
		o, ok := listed.Lookup(topic, int32(p))
		if !ok {
			t.Fatal(fmt.Errorf("no end offset of %s-%d", topic, p))
		}
		ends[p] = o.Offset
	}
	return ends
}
