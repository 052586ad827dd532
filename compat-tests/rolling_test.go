package compat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// rollingClients produce and consume while the nodes of a cluster go and come back.
var rollingClients = []string{
	"franz-go", "sarama", "kafka-go", "kcat", "kafka-clients-4.3.1", "confluent-kafka", "kafka-python", "aiokafka", "kafkajs", "platformatic-kafka",
}

// TestRollingRestart stops the nodes one after the other as an upgrade does, each when all replicas are in sync again.
func TestRollingRestart(t *testing.T) { roll(t, (*broker).stop) }

// TestRollingKillNine is the same with nodes that die. Nodes die under three of the clients in every run
// (TestFailover); under all ten of them in full.
func TestRollingKillNine(t *testing.T) {
	if !full {
		t.Skip("make compat-full kills nodes under all clients")
	}
	roll(t, (*broker).kill9)
}

// roll ends and starts each node under a load of all clients. No client may see an error; what was acknowledged is there,
// once and in order; and no group gets back behind what it has committed.
func roll(t *testing.T, end func(*broker)) {
	c := startThree(t, scenarioFlags...)
	ctx, cancel := context.WithCancel(t.Context())
	var loads []*rollingLoad
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, name := range rollingClients {
		loads = append(loads, newRollingLoad(t, c, clientNamed(t, name)))
	}
	for _, l := range loads {
		running.Go(func() { l.run(ctx) })
	}
	progress := func(when string) {
		t.Helper()
		for _, l := range loads {
			l.waitProgress(when, 2)
		}
	}
	progress("at first")
	for _, b := range c.nodes {
		end(b)
		progress(fmt.Sprintf("without node %d", b.id))
		b.start()
		c.whole()
		for _, l := range loads {
			l.notLost()
		}
		progress(fmt.Sprintf("with node %d again", b.id))
	}
	for _, l := range loads {
		close(l.enough)
	}
	for _, l := range loads {
		l.waitEnd()
	}
	for _, l := range loads {
		l.check()
	}
	c.verify()
}

const rollingPartitions = 3

// ends are clients that give up when a leader moves, so that their program must begin anew. With Apache Kafka they do so too.
var ends = map[string]string{
	"platformatic-kafka": "a fetch goes four times to the node that has led, then the stream ends; a send may never come back",
}

// staleStarts are clients that may begin before an offset that they have committed themselves: a commit that was under way when
// they joined again counts only after they have looked where to begin. What the coordinator has is asked for in any case.
var staleStarts = map[string]bool{"kafkajs": true, "platformatic-kafka": true}

// silentOf are clients that may end a send without an error and without an offset for some of its records: those are not
// acknowledged.
var silentOf = map[string]string{
	"kafkajs": "when a leader moves to a node that has answered its part of the send already, what is for it is not sent again",
}

// endsWithin is how long a send of such a client may take.
const endsWithin = 30 * time.Second

// rollingLoad is one client: it produces numbers, reads them as the one member of a group, and commits them.
type rollingLoad struct {
	t      *testing.T
	c      *cluster
	client client
	topic  string // and group
	d      *driver
	admin  *kadm.Client
	enough chan struct{} // closed when nothing more is to be produced
	ended  chan struct{} // closed when run has returned

	mu       sync.Mutex
	at       map[int][2]int64 // partition and offset of each acknowledged number, if the client tells; else -1
	seen     map[int]int      // deliveries of each number
	acked    [rollingPartitions]int64
	commits  int
	refused  []error // commits
	rounds   int
	anew     int           // times that its program began anew
	assigned bool          // the member had partitions when it was asked last
	unsure   map[int]bool  // numbers that were neither acknowledged nor refused
	slowest  time.Duration // of acknowledgements
	faults   int
}

func newRollingLoad(t *testing.T, c *cluster, of client) *rollingLoad {
	l := &rollingLoad{
		t: t, c: c, client: of, topic: "rolling-" + of.Name, enough: make(chan struct{}), ended: make(chan struct{}),
		admin: kadm.NewClient(openClient(t, c, kgo.AlwaysRetryEOF())), at: map[int][2]int64{}, unsure: map[int]bool{}, seen: map[int]int{},
	}
	createTopic(t, c, l.topic, rollingPartitions)
	l.begin()
	return l
}

// begin starts the client's program and has it join its group.
func (l *rollingLoad) begin() {
	l.t.Helper()
	if l.d != nil {
		l.d.kill()
		l.anew++
	}
	l.d = startDriver(l.t, l.c, l.client)
	if ends[l.client.Name] != "" {
		l.d.within = endsWithin
	}
	for !l.joined() {
		l.d.must("leave", nil, nil)
	}
}

// joined joins and says whether partitions were assigned. kafka-python, on a busy machine, may join before it knows of the
// topic, assign nothing to itself and leave it at that.
func (l *rollingLoad) joined() bool {
	l.t.Helper()
	l.d.must("join", fields{
		"group": l.topic, "topics": []string{l.topic}, "instance_id": nil, "assignor": nil,
		"session_timeout_ms": 10_000, "client_id": nil,
	}, nil)
	for deadline := time.Now().Add(groupWithin); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if l.takeRecords(); l.assigned {
			return true
		}
	}
	return false
}

// run goes round until everything that was produced after enough is seen and committed.
func (l *rollingLoad) run(ctx context.Context) {
	defer close(l.ended)
	next, producing := 0, true
	for ctx.Err() == nil {
		select {
		case <-l.enough:
			producing = false
		default:
		}
		if producing && !l.produce(&next) || !l.consume() {
			return
		}
		l.mu.Lock()
		l.rounds++
		done := !producing && l.allSeen() && (l.client.lacks("member_commit") || l.allCommitted())
		l.mu.Unlock()
		if done {
			return
		}
		time.Sleep(50 * time.Millisecond) // a load, not all that the machine can do
	}
}

// allSeen says that everything acknowledged was read. The caller holds the lock.
func (l *rollingLoad) allSeen() bool {
	for n := range l.at {
		if l.seen[n] == 0 {
			return false
		}
	}
	return true
}

// allCommitted says that the commits cover everything. The caller holds the lock.
func (l *rollingLoad) allCommitted() bool {
	sum := int64(0)
	for _, o := range l.acked {
		sum += o
	}
	return sum >= int64(len(l.at))
}

// produce sends some more numbers to each partition. An error of the client is a fault.
func (l *rollingLoad) produce(next *int) bool {
	var records []sentRecord
	for i := range 10 * rollingPartitions {
		p := int32(i % rollingPartitions)
		records = append(records, sentRecord{Partition: &p, Key: []byte("k"), Value: strconv.AppendInt(nil, int64(*next+i), 10)})
	}
	if l.client.Name == "kcat" {
		records = records[:rollingPartitions] // a process for each
	}
	req := fields{"topic": l.topic, "codec": "none", "idempotent": true, "records": records}
	if l.client.lacks("produce:idempotent") {
		req["idempotent"] = nil
	}
	var got struct{ Offsets [][2]*int64 }
	began := time.Now()
	err := l.d.ask("produce", req, &got)
	if err != nil && ends[l.client.Name] == "" {
		l.fault("%v", err)
		return false
	}
	if err != nil {
		defer l.begin() // without the lock
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		for i := range records {
			l.unsure[*next+i] = true
		}
		*next += len(records)
		return true
	}
	l.slowest = max(l.slowest, time.Since(began))
	for i := range records {
		at := [2]int64{-1, -1}
		if got.Offsets != nil {
			o := got.Offsets[i]
			if o[1] == nil && silentOf[l.client.Name] != "" {
				l.unsure[*next+i] = true
				continue
			}
			at = [2]int64{*o[0], *o[1]}
		}
		l.at[*next+i] = at
	}
	*next += len(records)
	return true
}

// consume takes what the member has and commits it. A refused commit is no fault: the group may be rebalancing.
func (l *rollingLoad) consume() bool {
	failed, err := l.takeRecords()
	if err != nil {
		l.fault("%v", err)
		return false
	}
	if failed != nil && ends[l.client.Name] != "" {
		l.begin()
		return true
	}
	if l.client.lacks("member_commit") {
		return true
	}
	var told struct{ Offsets [][3]json.RawMessage }
	err = l.d.ask("member_commit", nil, &told)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.refused = append(l.refused, err)
		return true
	}
	for _, o := range told.Offsets {
		p, err1 := strconv.Atoi(string(o[1]))
		offset, err2 := strconv.ParseInt(string(o[2]), 10, 64)
		if err := errors.Join(err1, err2); err != nil || p >= rollingPartitions {
			l.t.Errorf("%s answers %s", l.client.Name, o)
			return false
		}
		l.acked[p] = max(l.acked[p], offset)
	}
	l.commits += len(told.Offsets)
	return true
}

// takeRecords asks for what the member has got. failed is what the client says of itself.
func (l *rollingLoad) takeRecords() (failed *string, err error) {
	before := l.acknowledged()
	var got struct {
		Assignment []any
		Records    []sentRecord
		Error      *string
	}
	if err := l.d.ask("member", nil, &got); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.assigned = len(got.Assignment) > 0
	for _, r := range got.Records {
		n, err := strconv.Atoi(string(r.Value))
		if err != nil {
			l.faultLocked("not a number: %q", r.Value)
		}
		if r.Offset < before[*r.Partition] && !staleStarts[l.client.Name] {
			l.faultLocked("%d-%d came after the commit of %d was acknowledged", *r.Partition, r.Offset, before[*r.Partition])
		}
		l.seen[n]++
	}
	return got.Error, nil
}

func (l *rollingLoad) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faultLocked(format, args...)
}

func (l *rollingLoad) faultLocked(format string, args ...any) {
	if l.faults++; l.faults <= 10 {
		l.t.Errorf(l.client.Name+": "+format, args...)
	}
}

func (l *rollingLoad) acknowledged() [rollingPartitions]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// waitProgress waits until the client has gone round some more times and has seen more records, unless it has failed.
func (l *rollingLoad) waitProgress(when string, rounds int) {
	l.t.Helper()
	state := func() (rounds, seen int, failed bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.rounds, len(l.seen), l.faults > 0
	}
	r, s, _ := state()
	eventually(l.t, 3*time.Minute, l.client.Name+" goes on "+when, func() bool {
		rr, ss, failed := state()
		return failed || rr >= r+rounds && ss > s
	})
}

// waitEnd waits until everything is read and committed.
func (l *rollingLoad) waitEnd() {
	l.t.Helper()
	select {
	case <-l.ended:
	case <-time.After(2 * time.Minute):
		l.mu.Lock()
		defer l.mu.Unlock()
		var missing []string
		for n, at := range l.at {
			if l.seen[n] == 0 && len(missing) < 20 {
				missing = append(missing, fmt.Sprintf("%d at %d", n, at))
			}
		}
		l.t.Fatalf("%s has read %d of %d numbers, committed %d; not read are %s", l.client.Name, len(l.seen), len(l.at), l.acked, missing)
	}
}

// notLost asks for what was acknowledged of commits.
func (l *rollingLoad) notLost() {
	l.t.Helper()
	acked := l.acknowledged()
	var fetched kadm.OffsetResponses
	eventually(l.t, groupWithin, "the coordinator tells what is committed", func() bool {
		var err error
		fetched, err = l.admin.FetchOffsets(l.t.Context(), l.topic)
		return err == nil && fetched.Error() == nil
	})
	for p, want := range acked {
		if o, ok := fetched.Lookup(l.topic, int32(p)); want > 0 && (!ok || o.At < want) {
			l.fault("partition %d: committed %d, %d was acknowledged before", p, o.At, want)
		}
	}
}

// check reads the topic with the test's own client and lets the member leave.
func (l *rollingLoad) check() {
	l.t.Helper()
	l.t.Logf("%s: %d numbers, slowest acknowledgement %v, %d commits and %d refused, %d numbers were delivered again, %d times begun anew",
		l.client.Name, len(l.at), l.slowest.Round(time.Millisecond), l.commits, len(l.refused), l.again(), l.anew)
	for _, err := range l.refused[:min(3, len(l.refused))] {
		l.t.Logf("%s: a refused commit: %v", l.client.Name, err)
	}
	if l.faults > 0 {
		return
	}
	var order [rollingPartitions][]int
	found := map[int]int{}
	for r := range records(l.t, l.c, l.topic, endOffsets(l.t, l.c, l.topic, rollingPartitions)) {
		n, err := strconv.Atoi(string(r.Value))
		if err != nil {
			l.fault("%d-%d is not a number: %q", r.Partition, r.Offset, r.Value)
		}
		once := !l.client.lacks("produce:idempotent")
		if at, acked := l.at[n]; once && acked && at[1] >= 0 && at != [2]int64{int64(r.Partition), r.Offset} {
			l.fault("number %d is at %d-%d and was acknowledged at %d", n, r.Partition, r.Offset, at)
		}
		if found[n]++; found[n] == 1 {
			order[r.Partition] = append(order[r.Partition], n)
		}
		if found[n] > 1 && once {
			l.fault("%d-%d: number %d a second time", r.Partition, r.Offset, n)
		}
	}
	for n := range l.at {
		if found[n] == 0 {
			l.fault("number %d was acknowledged and is not there", n)
		}
	}
	for n := range found {
		if _, sent := l.at[n]; !sent && !l.unsure[n] {
			l.fault("number %d is there and was not sent", n)
		}
	}
	for p, numbers := range order {
		if !slices.IsSorted(numbers) {
			l.fault("partition %d is out of order", p)
		}
	}
	l.notLost()
	l.d.must("leave", nil, nil)
	l.d.quit()
}

func (l *rollingLoad) again() (n int) {
	for _, times := range l.seen {
		if times > 1 {
			n++
		}
	}
	return n
}
