package compat

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// elsewhere is a system that runs already.
type elsewhere string

func (e elsewhere) bootstrap() string { return string(e) }
func (e elsewhere) replicas() int     { return 1 }

// whatIsLeft is what a consumer from the start has when it has read all.
type whatIsLeft struct {
	last                map[string]string // value of each key
	records, tombstones int
}

// TestCompactionKeepsTheLastValueOfEachKey writes many records of few keys, tombstones among them, and reads what compaction
// leaves. With COMPACTION_PEER=host:port of another broker (Apache Kafka with log.cleaner.backoff.ms=500, say) the same is done
// there, and both have to end up with the same.
func TestCompactionKeepsTheLastValueOfEachKey(t *testing.T) {
	b := startBroker(t, "--set", "log.cleaner.backoff.ms=300")
	records := 40_000
	if full {
		records = 200_000
	}
	want := compacted(t, b, records)
	t.Logf("%d records of %d keys, %d tombstones left", want.records, len(want.last), want.tombstones)
	if peer := os.Getenv("COMPACTION_PEER"); peer != "" {
		got := compacted(t, elsewhere(peer), records)
		t.Logf("%s: %d records of %d keys, %d tombstones left", peer, got.records, len(got.last), got.tombstones)
		if !maps.Equal(got.last, want.last) {
			t.Errorf("%s ends up with other values", peer)
		}
	}
	b.kill9()
	b.start()
	if again := readAllBack(t, b); !maps.Equal(again.last, want.last) {
		t.Errorf("after kill -9: %d keys, want %d, or other values", len(again.last), len(want.last))
	}
}

const compactedTopic = "compacted-by-key"

func compacted(t *testing.T, sys system, records int) whatIsLeft {
	t.Helper()
	const keys = 3000
	createTopic(t, sys, compactedTopic, 1, "cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0.01", "segment.ms", "1000",
		"delete.retention.ms", "1000")
	client := openClient(t, sys, kgo.DefaultProduceTopic(compactedTopic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[string]string{}
	write := func(n int) {
		for i := range n {
			r := &kgo.Record{Key: fmt.Appendf(nil, "key %d", rng.IntN(keys))}
			if rng.IntN(10) > 0 {
				r.Value = fmt.Appendf(nil, "value %d of %d", i, rng.IntN(1e9))
				want[string(r.Key)] = string(r.Value)
			} else {
				delete(want, string(r.Key))
			}
			client.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		if err := client.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check := func(got whatIsLeft) whatIsLeft {
		if !maps.Equal(got.last, want) {
			t.Fatalf("%d keys, want %d, or other values", len(got.last), len(want))
		}
		return got
	}
	write(records)
	check(readAllBack(t, sys))
	var got whatIsLeft
	// A record now and then ends the segment before, which is compacted then; the second time the tombstones' time is over.
	eventually(t, 90*time.Second, "one record for each key, no tombstones", func() bool {
		time.Sleep(1200 * time.Millisecond)
		client.Produce(t.Context(), &kgo.Record{Key: []byte("end"), Value: []byte("of a segment")}, nil)
		if err := client.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		want["end"] = "of a segment"
		got = check(readAllBack(t, sys))
		return got.records <= len(want)+5 && got.tombstones == 0
	})
	return got
}

// readAllBack reads the topic from the start, and sees that offsets rise.
func readAllBack(t *testing.T, sys system) whatIsLeft {
	t.Helper()
	ends, err := kadm.NewClient(openClient(t, sys)).ListEndOffsets(t.Context(), compactedTopic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(compactedTopic, 0)
	client := openClient(t, sys, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{compactedTopic: {0: kgo.NewOffset().AtStart()}}))
	out := whatIsLeft{last: map[string]string{}}
	for next := int64(0); next < end.Offset; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset < next {
				t.Errorf("offset %d behind %d", r.Offset, next-1)
			}
			next = r.Offset + 1
			out.records++
			if r.Value == nil {
				out.tombstones++
				delete(out.last, string(r.Key))
			} else {
				out.last[string(r.Key)] = string(r.Value)
			}
		})
	}
	return out
}
