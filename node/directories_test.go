package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

const twoDirs = "log.dirs=data,other"

// spreadAndStop leaves a stopped node's disk with a topic in both directories, and says which partitions are in the other one.
func spreadAndStop(t *testing.T, fs env.FS) []kafkaproto.PartitionID {
	t.Helper()
	n, err := tryNode(t, fs, twoDirs)
	if err != nil {
		t.Fatal(err)
	}
	other := spread(t, n, "orders")
	stopNode(t, n)
	return other
}

// spread produces a record into each partition of a new topic of eight, and says which partitions are in the directory other.
func spread(t *testing.T, n *Node, topic string) (other []kafkaproto.PartitionID) {
	t.Helper()
	_, err := adminOf(t, n).CreateTopic(t.Context(), 8, 1, nil, topic)
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, n, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := range int32(8) {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: i, Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range kafkaproto.PartitionID(8) {
		if leader(t, n, topic, i).Dir().Path == "other" {
			other = append(other, i)
		}
	}
	return other
}

// produceTo tries one record, without patience.
func produceTo(t *testing.T, n *Node, topic string, id kafkaproto.PartitionID, value string) error {
	t.Helper()
	c := client(t, n, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(1), kgo.RecordDeliveryTimeout(time.Second), kgo.MetadataMinAge(20*time.Millisecond))
	return c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: int32(id), Value: []byte(value)}).FirstErr()
}

// failOther has every sync of files in the directory other fail.
func failOther(fs *env.FaultFS) {
	fs.Change(func(h *env.FaultHooks) {
		h.SyncData = func(name string) error {
			if strings.HasPrefix(name, "other/") {
				return errIO
			}
			return nil
		}
	})
}

// has checks how many records the partitions of a topic of eight have each.
func has(t *testing.T, n *Node, topic string, records int) {
	t.Helper()
	for i := range kafkaproto.PartitionID(8) {
		if got := values(t, leader(t, n, topic, i)); len(got) != records {
			t.Errorf("partition %d has %v", i, got)
		}
	}
}

// offlineAre checks which partitions of a topic of eight are offline.
func offlineAre(t *testing.T, n *Node, topic string, want []kafkaproto.PartitionID) {
	t.Helper()
	made, _ := n.quorum.Image().Topic(topic)
	for i := range kafkaproto.PartitionID(8) {
		_, err := n.manager.Partition(kafkaproto.TopicPartition{Topic: made.ID, Partition: i})
		if slices.Contains(want, i) != errors.Is(err, kafkaproto.ErrKafkaStorageError) {
			t.Errorf("partition %d: %v", i, err)
		}
	}
}

func TestPartitionsAreSpreadOverDirectoriesAndFoundThereAgain(t *testing.T) {
	fs := env.NewMem()
	n, err := tryNode(t, fs, twoDirs)
	if err != nil {
		t.Fatal(err)
	}
	other := spread(t, n, "orders")
	if len(other) != 4 {
		t.Errorf("the second directory has %d of 8 partitions", len(other))
	}
	stopNode(t, n)
	n = startNode(t, fs, "log.dirs=data,other,third")
	for i := range kafkaproto.PartitionID(8) {
		p := leader(t, n, "orders", i)
		if got := values(t, p); len(got) != 1 || got[0] != fmt.Sprint(i) || (p.Dir().Path == "other") != slices.Contains(other, i) {
			t.Errorf("partition %d in %s has %v", i, p.Dir().Path, got)
		}
	}
	produce(t, client(t, n), "new", "one")
	if p := leader(t, n, "new", 0); p.Dir().Path != "third" {
		t.Errorf("a new log went to %s, though there is an empty directory", p.Dir().Path)
	}
}

func TestADirectoryThatFailsLeavesTheOthersServing(t *testing.T) {
	mem := env.NewMem()
	fs := env.NewFaultFS(mem)
	n, err := tryNode(t, fs, twoDirs)
	if err != nil {
		t.Fatal(err)
	}
	other := spread(t, n, "orders")
	failOther(fs)
	if err := produceTo(t, n, "orders", other[0], "lost"); err == nil {
		t.Error("a record was acknowledged whose sync failed")
	}
	acked := map[kafkaproto.PartitionID]bool{}
	for i := range kafkaproto.PartitionID(8) {
		if slices.Contains(other, i) {
			continue
		}
		if err := produceTo(t, n, "orders", i, "later"); err != nil {
			t.Errorf("partition %d of the directory that is well: %v", i, err)
		}
		acked[i] = true
	}
	if err := n.serving(); err != nil || n.offline() != 1 {
		t.Errorf("the node is not ready: %v; %d directories are offline", err, n.offline())
	}
	p := leader(t, n, "orders", other[1])
	if err := p.Status().Err; !errors.Is(err, kafkaproto.ErrKafkaStorageError) {
		t.Errorf("a partition of the failed directory answers %v", err)
	}
	produce(t, client(t, n), "new", "one")
	if got := leader(t, n, "new", 0).Dir().Path; got != "data" {
		t.Errorf("a new log went to %s", got)
	}
	deadline, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for n.dirs[0].dir.Note(noteFailed) != idOf(n.dirs[1].dir) && deadline.Err() == nil {
		<-time.After(time.Millisecond)
	}
	stopNode(t, n)

	n = startNode(t, mem.CrashClone(vfs.CrashCloneCfg{}), twoDirs) // the disk is well again
	if got := n.dirs[0].dir.Note(noteFailed); got != "" {
		t.Errorf("the directory still counts as failed: %s", got)
	}
	for i := range kafkaproto.PartitionID(8) {
		got := values(t, leader(t, n, "orders", i))
		if got[0] != fmt.Sprint(i) || acked[i] && got[1] != "later" {
			t.Errorf("partition %d has %v", i, got)
		}
	}
}

func TestTheNodeEndsWhenAllDirectoriesHaveFailed(t *testing.T) {
	fs := env.NewFaultFS(env.NewMem())
	n := startNode(t, fs, twoDirs)
	other := spread(t, n, "orders")
	fs.Change(func(h *env.FaultHooks) { h.SyncData = func(string) error { return errIO } })
	well := kafkaproto.PartitionID(slices.IndexFunc([]int{0, 1, 2, 3, 4, 5, 6, 7}, func(i int) bool { return !slices.Contains(other, kafkaproto.PartitionID(i)) }))
	for _, i := range []kafkaproto.PartitionID{other[0], well} {
		if err := produceTo(t, n, "orders", i, "lost"); err == nil {
			t.Errorf("partition %d took a record", i)
		}
	}
	if err := n.Wait(); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("the node ended with %v", err)
	}
}

func TestWhatIsInADirectoryThatIsNotThereIsNotMadeAnew(t *testing.T) {
	fs := env.NewMem()
	other := spreadAndStop(t, fs)
	if err := fs.Rename("other", "away"); err != nil {
		t.Fatal(err)
	}
	n, err := tryNode(t, fs, twoDirs)
	if err != nil {
		t.Fatal(err)
	}
	offlineAre(t, n, "orders", other)
	produce(t, client(t, n), "new", "one")
	stopNode(t, n)
	if err := fs.Rename("away", "other"); err != nil {
		t.Fatal(err)
	}
	n = startNode(t, fs, twoDirs)
	has(t, n, "orders", 1)
}

func TestDirectoriesThatAreCopiesAreRefused(t *testing.T) {
	fs := env.NewMem()
	n, err := tryNode(t, fs)
	if err != nil {
		t.Fatal(err)
	}
	stopNode(t, n)
	meta, err := fs.ReadFile("data/meta.properties")
	if err == nil {
		err = errors.Join(fs.MkdirAll("other"), fs.WriteFileAtomic("other/meta.properties", meta))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryNode(t, fs, twoDirs); err == nil || !strings.Contains(err.Error(), "copy") {
		t.Errorf("started with a copied directory: %v", err)
	}
}

// Three brokers with two directories each. One loses a directory: others lead what it led there, nothing that was acknowledged
// is lost, and after a start with a new disk in its place the replicas are whole again.
func TestReplicasOfAFailedDirectoryLeaveTheISRAndAreMadeAnewFromOthers(t *testing.T) {
	var disks [4]env.FS
	mem := env.NewMem()
	fs := env.NewFaultFS(mem)
	disks[1], disks[2], disks[3] = env.NewMem(), fs, env.NewMem()
	nodes, join := startThreeOn(t, disks, twoDirs)
	admin := adminOf(t, nodes[1])
	if _, err := admin.CreateTopic(t.Context(), 6, 3, map[string]*string{"min.insync.replicas": text("2")}, "orders"); err != nil {
		t.Fatal(err)
	}
	c := client(t, nodes[1], kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(20*time.Millisecond))
	send := func(round string) {
		t.Helper()
		for i := range int32(6) {
			if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Partition: i, Value: []byte(round)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	send("one")
	topic, _ := nodes[1].quorum.Image().Topic("orders")
	inOther := map[kafkaproto.PartitionID]bool{}
	for i := range kafkaproto.PartitionID(6) {
		p, err := nodes[2].manager.Partition(kafkaproto.TopicPartition{Topic: topic.ID, Partition: i})
		if err != nil {
			t.Fatal(err)
		}
		inOther[i] = p.Dir().Path == "other"
	}
	failOther(fs)
	send("two")
	rest := []*Node{nodes[1], nodes[3]}
	await(t, "the failed replicas are out of the ISR, and those only", rest, func(img *controller.Image) bool {
		topic, ok := img.Topic("orders")
		if !ok {
			return false
		}
		for i, p := range topic.Partitions {
			if slices.Contains(p.ISR, 2) == inOther[kafkaproto.PartitionID(i)] || p.Leader == controller.NoLeader {
				return false
			}
		}
		return true
	})
	send("three")
	stopNode(t, nodes[2])
	left := mem.CrashClone(vfs.CrashCloneCfg{})                                          // the process that failed has left its index open
	if err := errors.Join(left.RemoveAll("other"), left.MkdirAll("other")); err != nil { // a new disk
		t.Fatal(err)
	}
	back := startNode(t, left, "node.id=2", twoDirs, join)
	await(t, "all in sync again", append(rest, back), func(img *controller.Image) bool {
		topic, ok := img.Topic("orders")
		return ok && !slices.ContainsFunc(topic.Partitions, func(p *controller.Partition) bool { return len(p.ISR) < 3 })
	})
	for i := range kafkaproto.PartitionID(6) {
		p, err := back.manager.Partition(kafkaproto.TopicPartition{Topic: topic.ID, Partition: i})
		if err != nil || p.Status().End != 3 {
			t.Errorf("partition %d: %v", i, err)
		}
	}
	if back.lost {
		t.Error("the lost directory is still missed")
	}
}

func text(s string) *string { return &s }

func TestAReplicaMovesBetweenDirectoriesOnRequest(t *testing.T) {
	fs := env.NewMem()
	n, err := tryNode(t, fs, twoDirs)
	if err != nil {
		t.Fatal(err)
	}
	spread(t, n, "orders")
	admin := adminOf(t, n)
	for i := range int32(8) {
		p := leader(t, n, "orders", kafkaproto.PartitionID(i))
		to := "other"
		if p.Dir().Path == "other" {
			to = "data"
		}
		path, err := filepath.Abs(to)
		if err != nil {
			t.Fatal(err)
		}
		req := kadm.AlterReplicaLogDirsReq{}
		req.Add(path, kadm.TopicsSet{"orders": {i: {}}})
		if all, err := admin.AlterBrokerReplicaLogDirs(t.Context(), 1, req); err != nil || all.Sorted()[0].Err != nil {
			t.Fatalf("%v %v", all, err)
		}
		for end := time.Now().Add(10 * time.Second); p.Dir().Path != to && time.Now().Before(end); {
			<-time.After(time.Millisecond)
		}
		if got := values(t, p); p.Dir().Path != to || len(got) != 1 || got[0] != fmt.Sprint(i) {
			t.Errorf("partition %d is in %s and has %v", i, p.Dir().Path, got)
		}
		if err := produceTo(t, n, "orders", kafkaproto.PartitionID(i), "later"); err != nil {
			t.Error(err)
		}
	}
	stopNode(t, n)
	n = startNode(t, fs, twoDirs)
	has(t, n, "orders", 2)
}

// A disk is replaced by an empty one, and comes back later beside it. Of two logs of a name the one counts that was written last.
func TestAReplacedDirectoryIsMadeAnewAndTheOldOneDoesNotWin(t *testing.T) {
	fs := env.NewMem()
	other := spreadAndStop(t, fs)
	if err := errors.Join(fs.Rename("other", "away"), fs.MkdirAll("other")); err != nil {
		t.Fatal(err)
	}
	n, err := tryNode(t, fs, twoDirs)
	if err != nil {
		t.Fatal(err)
	}
	offlineAre(t, n, "orders", other)
	stopNode(t, n)
	if n, err = tryNode(t, fs, twoDirs, "unsafe.accept.corruption=true"); err != nil {
		t.Fatal(err)
	}
	for i := range kafkaproto.PartitionID(8) {
		if got := values(t, leader(t, n, "orders", i)); len(got) == 0 != slices.Contains(other, i) {
			t.Errorf("partition %d begins with %v", i, got)
		}
	}
	if n.lost {
		t.Error("all was made anew, and it is still missed")
	}
	if err := produceTo(t, n, "orders", other[0], "new"); err != nil {
		t.Fatal(err)
	}
	stopNode(t, n)
	n = startNode(t, fs, "log.dirs=data,other,away")
	for i := range kafkaproto.PartitionID(8) {
		want := fmt.Sprint(i)
		if i == other[0] {
			want = "new"
		}
		if got := values(t, leader(t, n, "orders", i)); len(got) != 1 || got[0] != want {
			t.Errorf("partition %d has %v", i, got)
		}
	}
	if got := n.stats().Quarantined; len(got) != len(other) {
		t.Errorf("%d logs are in quarantine", len(got))
	}
}

// Leader and followers move between their directories while records come: all replicas stay the same, and whole.
func TestReplicasMoveWhileTheyAreReplicated(t *testing.T) {
	nodes, _, _ := startThree(t, twoDirs)
	admin := adminOf(t, nodes[1])
	if _, err := admin.CreateTopic(t.Context(), 1, 3, map[string]*string{"min.insync.replicas": text("3")}, "orders"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	sent := make(chan int)
	c := client(t, nodes[1])
	go func() {
		count := 0
		for ; ctx.Err() == nil; count++ {
			if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: fmt.Append(nil, count)}).FirstErr(); err != nil {
				t.Error(err)
				break
			}
		}
		sent <- count
	}()
	topic, _ := nodes[1].quorum.Image().Topic("orders")
	id := kafkaproto.TopicPartition{Topic: topic.ID}
	await(t, "all replicas", nodes[1:], func(img *controller.Image) bool {
		p := partitionOf(img, "orders")
		return p != nil && len(p.ISR) == 3
	})
	for range 4 {
		for _, n := range nodes[1:] {
			p, err := n.manager.Partition(id)
			if err != nil {
				t.Fatal(err)
			}
			to := n.manager.Dirs()[0]
			if p.Dir() == to {
				to = n.manager.Dirs()[1]
			}
			if err := n.manager.MoveReplica("orders", 0, to.Absolute()); err != nil {
				t.Fatal(err)
			}
			await(t, "the move", []*Node{n}, func(*controller.Image) bool { return p.Dir() == to })
		}
	}
	stop()
	count := <-sent
	if p := partitionOf(nodes[1].quorum.Image(), "orders"); len(p.ISR) != 3 || p.LeaderEpoch != 0 {
		t.Errorf("the moves have changed who is in sync, or leads: %+v", p)
	}
	for i, n := range nodes[1:] {
		p, err := n.manager.Partition(id)
		if err != nil {
			t.Fatal(err)
		}
		await(t, "all records", []*Node{n}, func(*controller.Image) bool { return p.Status().Flushed == kafkaproto.Offset(count) })
		l, _ := p.Dir().Engine.Log(id)
		if err := l.CheckAt(0, 1<<30); err != nil {
			t.Errorf("node %d: %v", i+1, err)
		}
	}
	t.Logf("%d records while it moved 12 times", count)
}
