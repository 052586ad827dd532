package broker

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// Describe stands for a quorum of one.
func (q *testQuorum) Describe() (controller.QuorumState, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refuse != nil {
		if err := q.refuse(nil); err != nil {
			return controller.QuorumState{}, err
		}
	}
	now := time.UnixMilli(1_700_000_000_000)
	return controller.QuorumState{
		LeaderID: 1, LeaderEpoch: 7, HighWatermark: 41,
		Voters: []controller.QuorumMember{
			{ID: 1, DirectoryID: [16]byte{5}, Address: "127.0.0.1:9093", LogEndOffset: 42, LastFetch: now, LastCaughtUp: now},
			{ID: 2, DirectoryID: [16]byte{6}, Address: "[::1]:9094", LogEndOffset: -1},
		},
		Observers: []controller.QuorumMember{{ID: 3, LogEndOffset: -1}},
	}, nil
}

func quorumRequest(version int16, topic string, partitions ...int32) *kmsg.DescribeQuorumRequest {
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Version = version
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic = topic
	for _, n := range partitions {
		p := kmsg.NewDescribeQuorumRequestTopicPartition()
		p.Partition = n
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func TestDescribeQuorumTellsWhoLeadsAndHowFarEveryoneIs(t *testing.T) {
	c := startServer(t, nil).dial()
	for version := range int16(3) {
		resp := ask[*kmsg.DescribeQuorumResponse](c, quorumRequest(version, "__cluster_metadata", 0))
		p := resp.Topics[0].Partitions[0]
		if resp.ErrorCode != 0 || p.ErrorCode != 0 || p.LeaderID != 1 || p.LeaderEpoch != 7 || p.HighWatermark != 41 || len(p.Observers) != 1 {
			t.Fatalf("v%d: %+v", version, resp)
		}
		first, second := p.CurrentVoters[0], p.CurrentVoters[1]
		if first.ReplicaID != 1 || first.LogEndOffset != 42 || second.LogEndOffset != -1 {
			t.Errorf("v%d: %+v", version, p.CurrentVoters)
		}
		if version >= 1 && (first.LastCaughtUpTimestamp != 1_700_000_000_000 || second.LastFetchTimestamp != -1) {
			t.Errorf("v%d: %+v", version, p.CurrentVoters)
		}
		if version < 2 {
			continue
		}
		if first.ReplicaDirectoryID != [16]byte{5} || len(resp.Nodes) != 2 || *resp.ErrorMessage != "" {
			t.Fatalf("v%d: %+v", version, resp)
		}
		l := resp.Nodes[1].Listeners[0]
		if resp.Nodes[1].NodeID != 2 || l.Name != "CONTROLLER" || l.Host != "::1" || l.Port != 9094 {
			t.Errorf("%+v", resp.Nodes)
		}
	}
}

func TestDescribeQuorumKnowsNoOtherPartition(t *testing.T) {
	c := startServer(t, nil).dial()
	for _, req := range []*kmsg.DescribeQuorumRequest{
		quorumRequest(2, "__cluster_metadata", 1), quorumRequest(2, "other", 0), quorumRequest(2, "__cluster_metadata", 0, 1),
	} {
		resp := ask[*kmsg.DescribeQuorumResponse](c, req)
		for _, p := range resp.Topics[0].Partitions {
			mustBeCode(t, resp.Topics[0].Topic, p.ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
		}
		if len(resp.Topics[0].Partitions) != len(req.Topics[0].Partitions) {
			t.Errorf("%+v", resp)
		}
	}
}

func TestDescribeQuorumOfAFollowerSaysSo(t *testing.T) {
	b := startBroker(t)
	b.quorum.refuse = func(controller.Command) error { return kafkaproto.ErrNotLeaderOrFollower }
	resp := ask[*kmsg.DescribeQuorumResponse](b.dial(), quorumRequest(1, "__cluster_metadata", 0))
	mustBeCode(t, "metadata", resp.Topics[0].Partitions[0].ErrorCode, kafkaproto.ErrNotLeaderOrFollower)
}
