package broker

import (
	"encoding/binary"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

func dirsRequest(version int16, topics ...string) *kmsg.DescribeLogDirsRequest {
	req := kmsg.NewPtrDescribeLogDirsRequest()
	req.Version = version
	for _, name := range topics {
		t := kmsg.NewDescribeLogDirsRequestTopic()
		t.Topic, t.Partitions = name, []int32{1, 7}
		req.Topics = append(req.Topics, t)
	}
	return req
}

func TestDescribeLogDirsTellsWhatEachReplicaTakes(t *testing.T) {
	b := startBroker(t, withConfig("log.dirs=data"))
	b.createTopic("big", 2)
	b.createTopic("small", 1)
	c := b.dial()
	c.mustProduce("big", 1, strings.Repeat("x", 10_000))
	b.fs.Change(func(h *env.FaultHooks) { h.FreeBytes = func() uint64 { return 5 << 30 } })
	for version := range int16(6) {
		resp := ask[*kmsg.DescribeLogDirsResponse](c, dirsRequest(version))
		if len(resp.Dirs) != 1 || resp.ErrorCode != 0 || resp.Dirs[0].ErrorCode != 0 {
			t.Fatalf("v%d: %+v", version, resp)
		}
		dir := resp.Dirs[0]
		if !filepath.IsAbs(dir.Dir) || filepath.Base(dir.Dir) != "data" || len(dir.Topics) != 2 || dir.IsCordoned {
			t.Fatalf("v%d: %+v", version, dir)
		}
		big := dir.Topics[0].Partitions
		if dir.Topics[0].Topic != "big" || len(big) != 2 || big[0].Size != 0 || big[1].Size < 10_000 || big[1].OffsetLag != 0 || big[1].IsFuture {
			t.Errorf("v%d: %+v", version, dir.Topics)
		}
		want := [2]int64{-1, -1}
		if version >= 2 {
			want = [2]int64{1, 0} // under log.flush.policy=never
		}
		if ends := replicaEnds(big[1].UnknownTags); ends != want {
			t.Errorf("v%d: written and flushed up to %v, want %v", version, ends, want)
		}
		if version >= 4 && (dir.UsableBytes != 5<<30 || dir.TotalBytes < dir.UsableBytes) {
			t.Errorf("v%d: %d of %d bytes are usable", version, dir.UsableBytes, dir.TotalBytes)
		}
	}
}

// replicaEnds are StreamBus's own fields of a partition, written and flushed; -1 where one is missing.
func replicaEnds(tags kmsg.Tags) [2]int64 {
	ends := [2]int64{-1, -1}
	tags.Each(func(tag uint32, value []byte) {
		if tag == tagReplicaWritten || tag == tagReplicaFlushed {
			ends[tag-tagReplicaWritten] = int64(binary.BigEndian.Uint64(value))
		}
	})
	return ends
}

func TestDescribeLogDirsOfSomeTopics(t *testing.T) {
	b := startBroker(t)
	b.createTopic("two", 2)
	b.createTopic("other", 2)
	topics := ask[*kmsg.DescribeLogDirsResponse](b.dial(), dirsRequest(4, "two", "none", "two")).Dirs[0].Topics
	if len(topics) != 1 || topics[0].Topic != "two" || len(topics[0].Partitions) != 1 || topics[0].Partitions[0].Partition != 1 {
		t.Errorf("%+v", topics)
	}
	empty := dirsRequest(4)
	empty.Topics = []kmsg.DescribeLogDirsRequestTopic{}
	if dirs := ask[*kmsg.DescribeLogDirsResponse](b.dial(), empty).Dirs; len(dirs) != 1 || len(dirs[0].Topics) != 0 {
		t.Errorf("%+v", dirs)
	}
}

func TestDescribeLogDirsOfAFailedDirectorySaysSo(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	b.fs.Change(func(h *env.FaultHooks) {
		h.WriteVAt = func(string, int64, int) (int, error) { return 0, syscall.EIO }
	})
	ask[*kmsg.ProduceResponse](c, produceRequest("t", 0, batchOf("lost")))
	eventually(t, "the directory has failed", func() bool { return b.engine.Failed() != nil })
	dir := ask[*kmsg.DescribeLogDirsResponse](c, dirsRequest(4)).Dirs[0]
	mustBeCode(t, "the directory", dir.ErrorCode, kafkaproto.ErrKafkaStorageError)
	if len(dir.Topics) != 0 {
		t.Errorf("%+v", dir)
	}
}
