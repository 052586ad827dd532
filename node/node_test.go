package node

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/partition"
)

func produce(t testing.TB, c *kgo.Client, topic string, vals ...string) {
	t.Helper()
	for _, v := range vals {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatWasProducedIsThereAfterARestart(t *testing.T) {
	fs := env.NewMem()
	n, err := tryNode(t, fs)
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, n)
	produce(t, c, "orders", "one", "two")
	id := n.quorum.Image().ClusterID()
	epoch := leader(t, n, "orders", 0).Status().LeaderEpoch
	stopNode(t, n)

	n = startNode(t, fs)
	p := leader(t, n, "orders", 0)
	if got := p.Status().LeaderEpoch; got <= epoch {
		t.Errorf("the leader epoch is %d after a restart, want more than %d", got, epoch)
	}
	if got := n.quorum.Image().ClusterID(); got != id || len(id) != 22 {
		t.Errorf("the cluster id is %q after a restart, was %q", got, id)
	}
	if got := values(t, p); len(got) != 2 || got[0] != "one" || got[1] != "two" {
		t.Errorf("read %v", got)
	}
	c = client(t, n, kgo.ConsumeTopics("orders"))
	fetches := c.PollFetches(t.Context())
	if err := fetches.Err(); err != nil || fetches.NumRecords() != 2 {
		t.Errorf("consumed %d records, error %v", fetches.NumRecords(), err)
	}
}

func TestADirectoryServesOneProcessAndOneNode(t *testing.T) {
	fs := env.NewMem()
	n, err := tryNode(t, fs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryNode(t, fs); err == nil {
		t.Error("a second process took the same directory")
	}
	stopNode(t, n)
	if _, err := tryNode(t, fs, "node.id=2"); err == nil || !strings.Contains(err.Error(), "node") {
		t.Errorf("node 2 took the directory of node 1: %v", err)
	}
}

func TestRecordsWithoutMetadataAreRefusedAndTheWayOutIsNamed(t *testing.T) {
	fs := env.NewMem()
	n, err := tryNode(t, fs)
	if err != nil {
		t.Fatal(err)
	}
	produce(t, client(t, n), "orders", "one")
	stopNode(t, n)
	names, err := fs.List("data/raft/store")
	if err != nil {
		t.Fatal(err)
	}
	var written []string
	for _, name := range names {
		if strings.HasSuffix(name, ".log") || strings.HasSuffix(name, ".sst") {
			written = append(written, "data/raft/store/"+name)
		}
	}
	for _, lost := range [][]string{written, {"data/raft"}} { // what was written, as if it had not been copied, and all of it
		for _, name := range lost {
			if err := fs.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			_, err = tryNode(t, fs)
			if err == nil || !strings.Contains(err.Error(), "unsafe.allow.empty.metadata") {
				t.Fatalf("without %s it started, or did not name the way out: %v", lost, err)
			}
		}
	}
	n = startNode(t, fs, "unsafe.allow.empty.metadata=true")
	if got := n.stats().Quarantined; len(got) != 1 {
		t.Errorf("quarantined: %v", got)
	}
}

func TestATakenPortChangesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fs := env.NewMem()
	if _, err := tryNode(t, fs, "listeners=PLAINTEXT://"+l.Addr().String()); err == nil {
		t.Fatal("started on a taken port")
	}
	startNode(t, fs)
}

func TestAFailedDiskEndsTheNode(t *testing.T) {
	fs := env.NewFaultFS(env.NewMem())
	n := startNode(t, fs)
	produce(t, client(t, n), "orders", "one")
	fs.Change(func(h *env.FaultHooks) { h.SyncData = func(string) error { return errIO } })
	c := client(t, n, kgo.RecordRetries(1))
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("two")}).FirstErr(); err == nil {
		t.Error("a record was acknowledged whose sync failed")
	}
	if err := n.Wait(); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("the node ended with %v", err)
	}
}

func TestDamageToDurableRecordsIsNamedAndSoIsTheWayOut(t *testing.T) {
	mem := env.NewMem()
	n := startNode(t, mem)
	c := client(t, n)
	produce(t, c, "orders", "one")
	produce(t, c, "orders", "two-to-be-damaged", "three")
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	damage(t, crashed, "two-to-be-damaged")

	_, err := tryNode(t, crashed)
	if err == nil || !strings.Contains(err.Error(), "offsets 1-1") || !strings.Contains(err.Error(), "unsafe.accept.corruption") {
		t.Fatalf("started, or did not name the place and the way out: %v", err)
	}
	n = startNode(t, crashed, "unsafe.accept.corruption=true")
	res := leader(t, n, "orders", 0).Read(partition.ReadRequest{
		Offset: 1, MaxBytes: 1 << 20, ReplicaID: -1, CurrentLeaderEpoch: kafkaproto.NoLeaderEpoch, LastFetchedEpoch: kafkaproto.NoLeaderEpoch,
	})
	if kafkaproto.Code(res.Err) != kafkaproto.ErrKafkaStorageError.Num {
		t.Errorf("reading what is damaged: %v", res.Err)
	}
	produce(t, client(t, n), "orders", "four")
}

// damage flips a byte of text in whichever WAL file holds it.
func damage(t testing.TB, fs env.FS, text string) {
	t.Helper()
	names, err := fs.List("data/wal")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		content, err := fs.ReadFile("data/wal/" + name)
		if err != nil {
			t.Fatal(err)
		}
		i := bytes.Index(content, []byte(text))
		if i < 0 {
			continue
		}
		f, err := fs.OpenReadWrite("data/wal/" + name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteVAt([][]byte{{text[0] ^ 1}}, int64(i)); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no file holds %q", text)
}
