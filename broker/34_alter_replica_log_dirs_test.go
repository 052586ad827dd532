package broker

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

func moveRequest(version int16, dir, topic string, partitions ...int32) *kmsg.AlterReplicaLogDirsRequest {
	t := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
	t.Topic, t.Partitions = topic, partitions
	d := kmsg.NewAlterReplicaLogDirsRequestDir()
	d.Dir, d.Topics = dir, []kmsg.AlterReplicaLogDirsRequestDirTopic{t}
	req := kmsg.NewPtrAlterReplicaLogDirsRequest()
	req.Version, req.Dirs = version, []kmsg.AlterReplicaLogDirsRequestDir{d}
	return req
}

func TestAlterReplicaLogDirsAnswersEachPartition(t *testing.T) {
	b := startBroker(t)
	b.createTopic("orders", 2)
	c := b.dial()
	here, err := filepath.Abs("data")
	must(t, err)
	for version := range int16(3) {
		for _, each := range []struct {
			what, dir, topic string
			want             []int16
		}{
			{"where it is", here, "orders", []int16{0, 0, kafkaproto.ErrReplicaNotAvailable.Num}},
			{"no such directory", "/elsewhere", "orders", []int16{57, 57, 57}},
			{"no such topic", here, "nothing", []int16{9, 9, 9}},
			{"a relative path", "data", "orders", []int16{57, 57, 57}},
		} {
			resp := ask[*kmsg.AlterReplicaLogDirsResponse](c, moveRequest(version, each.dir, each.topic, 0, 1, 2))
			if len(resp.Topics) != 1 || resp.Topics[0].Topic != each.topic {
				t.Fatalf("v%d, %s: %+v", version, each.what, resp)
			}
			var got []int16
			for _, p := range resp.Topics[0].Partitions {
				got = append(got, p.ErrorCode)
			}
			if !slices.Equal(got, each.want) {
				t.Errorf("v%d, %s: %v, want %v", version, each.what, got, each.want)
			}
		}
	}
}
