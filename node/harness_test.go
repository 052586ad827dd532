package node

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/partition"
)

// startNode starts a whole node on fs, with listeners on free ports of the loopback, and stops it with the test.
func startNode(t testing.TB, fs env.FS, settings ...string) *Node {
	t.Helper()
	n, err := tryNode(t, fs, settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNode(t, n) })
	return n
}

// tryNode is startNode for those who expect an error or stop the node themselves.
func tryNode(t testing.TB, fs env.FS, settings ...string) (*Node, error) {
	t.Helper()
	e := env.System()
	e.FS = fs
	return tryNodeIn(t, e, settings...)
}

// tryNodeIn is tryNode with more than its disk made up.
func tryNodeIn(t testing.TB, e env.Env, settings ...string) (*Node, error) {
	t.Helper()
	cfg, _, err := config.Load(config.Sources{Set: append([]string{
		"log.dirs=data", "listeners=PLAINTEXT://127.0.0.1:0", "cluster.listener=127.0.0.1:0", "admin.listener=",
	}, settings...)})
	if err != nil {
		return nil, err
	}
	return Start(t.Context(), Options{Config: cfg, Env: e, Logger: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))})
}

// testLog shows a node's warnings with the test that they belong to.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	if l.t.Context().Err() == nil {
		l.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

func stopNode(t testing.TB, n *Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.Stop(ctx); err != nil && n.alive() == nil {
		t.Errorf("stopping the node: %v", err)
	}
}

// client is a franz-go client of the node, closed with the test.
func client(t testing.TB, n *Node, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(n.Addr()), kgo.AllowAutoTopicCreation()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// leader finds a partition that the node leads.
func leader(t testing.TB, n *Node, topic string, id kafkaproto.PartitionID) *partition.Partition {
	t.Helper()
	tp, ok := n.quorum.Image().Topic(topic)
	if !ok {
		t.Fatalf("topic %s is not there", topic)
	}
	p, err := n.manager.Partition(kafkaproto.TopicPartition{Topic: tp.ID, Partition: id})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// values reads what a consumer of the partition sees, from the start to the high watermark, as value by offset.
func values(t testing.TB, p *partition.Partition) map[kafkaproto.Offset]string {
	t.Helper()
	out := map[kafkaproto.Offset]string{}
	next := p.Status().Start
	for {
		res := p.Read(partition.ReadRequest{
			Offset: next, MaxBytes: 1 << 20, MinOneBatch: true, ReplicaID: -1,
			CurrentLeaderEpoch: kafkaproto.NoLeaderEpoch, LastFetchedEpoch: kafkaproto.NoLeaderEpoch,
		})
		if res.Err != nil {
			t.Fatalf("reading at %d: %v", next, res.Err)
		}
		if res.Read.Bytes == 0 {
			res.Read.Release()
			return out
		}
		for _, span := range res.Read.Spans {
			buf := make([]byte, span.Len)
			if _, err := span.File.ReadAt(buf, span.Pos); err != nil {
				t.Fatal(err)
			}
			collect(t, buf, out)
		}
		next = res.Read.Next
		res.Read.Release()
	}
}

func collect(t testing.TB, buf []byte, into map[kafkaproto.Offset]string) {
	t.Helper()
	for len(buf) > 0 {
		b, rest, err := kafkaproto.NextBatch(buf)
		if err == nil {
			err = b.CheckCRC()
		}
		if err == nil {
			err = kafkaproto.Records(b, func(r kafkaproto.Record) error {
				if was, ok := into[r.Offset]; ok {
					t.Errorf("offset %d is there twice: %q and %q", r.Offset, was, r.Value)
				}
				into[r.Offset] = string(r.Value)
				return nil
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		buf = rest
	}
}
