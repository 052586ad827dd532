package cli

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// QuorumDescription is the quorum that keeps the cluster's metadata, as its leader sees it. Offsets are those of its log.
type QuorumDescription struct {
	Leader        int32          `json:"leader"`
	LeaderEpoch   int32          `json:"leaderEpoch"`
	HighWatermark int64          `json:"highWatermark"`
	Members       []QuorumMember `json:"members"` // voters first, each kind by node id
}

// QuorumMember is a node that has the metadata.
type QuorumMember struct {
	Node         int32      `json:"node"`
	Directory    string     `json:"directoryId,omitempty"`
	Address      string     `json:"address,omitempty"` // told of voters only
	Voter        bool       `json:"voter"`
	Leader       bool       `json:"leader"`
	End          int64      `json:"endOffset"` // of its log; -1: the leader has not heard of it
	Lag          *int64     `json:"lag"`       // entries that the leader has and it lacks
	LastFetch    *time.Time `json:"lastFetch"`
	LastCaughtUp *time.Time `json:"lastCaughtUp"` // when it last had all that the leader had
}

const describeQuorumKey = 55

// mostQuorumAsked is how many brokers are asked for the quorum. Each asks its leader, and waits if there is none.
const mostQuorumAsked = 3

// describeQuorum asks a few brokers at once, and takes the first that knows (DescribeQuorum, key 55). Of several errors what a
// broker said counts more than that another did not answer.
func describeQuorum(ctx context.Context, client *kgo.Client, brokers []int32) (*QuorumDescription, error) {
	type told struct {
		q   *QuorumDescription
		err error
	}
	brokers = brokers[:min(len(brokers), mostQuorumAsked)]
	answers := make(chan told, len(brokers))
	for _, id := range brokers {
		go func() {
			q, err := describeQuorumBy(ctx, client, id)
			answers <- told{q, err}
		}()
	}
	var failure error
	for range brokers {
		a := <-answers
		if a.err == nil {
			return a.q, nil
		}
		var refused *kerr.Error
		if failure == nil || errors.As(a.err, &refused) {
			failure = a.err
		}
	}
	return nil, failure
}

func describeQuorumBy(ctx context.Context, client *kgo.Client, broker int32) (*QuorumDescription, error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	t, p := kmsg.NewDescribeQuorumRequestTopic(), kmsg.NewDescribeQuorumRequestTopicPartition()
	t.Topic = "__cluster_metadata"
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	answer, err := client.Broker(int(broker)).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.DescribeQuorumResponse)
	if err := kafkaError(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, orMissing(nil)
	}
	told := &resp.Topics[0].Partitions[0]
	if err := kafkaError(told.ErrorCode, told.ErrorMessage); err != nil {
		return nil, err
	}
	return quorumOf(told, resp.Nodes), nil
}

func quorumOf(told *kmsg.DescribeQuorumResponseTopicPartition, nodes []kmsg.DescribeQuorumResponseNode) *QuorumDescription {
	q := &QuorumDescription{Leader: told.LeaderID, LeaderEpoch: told.LeaderEpoch, HighWatermark: told.HighWatermark}
	addresses := map[int32]string{}
	for _, n := range nodes {
		if len(n.Listeners) > 0 {
			l := n.Listeners[0]
			addresses[n.NodeID] = net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port)))
		}
	}
	end := int64(-1)
	add := func(list []kmsg.DescribeQuorumResponseTopicPartitionReplicaState, voter bool) {
		for _, r := range list {
			m := QuorumMember{
				Node: r.ReplicaID, Address: addresses[r.ReplicaID], Voter: voter, Leader: voter && r.ReplicaID == told.LeaderID, End: r.LogEndOffset,
				LastFetch: optionalTime(r.LastFetchTimestamp), LastCaughtUp: optionalTime(r.LastCaughtUpTimestamp),
			}
			if r.ReplicaDirectoryID != [16]byte{} {
				m.Directory = topicID(r.ReplicaDirectoryID)
			}
			if m.Leader {
				end = m.End
			}
			q.Members = append(q.Members, m)
		}
	}
	add(told.CurrentVoters, true)
	add(told.Observers, false)
	for i := range q.Members {
		if m := &q.Members[i]; m.End >= 0 && end >= 0 {
			lag := max(0, end-m.End)
			m.Lag = &lag
		}
	}
	slices.SortStableFunc(q.Members, func(a, b QuorumMember) int {
		if a.Voter != b.Voter {
			if a.Voter {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Node, b.Node)
	})
	return q
}

// optionalTime is nil for what Kafka writes as a negative time.
func optionalTime(ms int64) *time.Time {
	if ms < 0 {
		return nil
	}
	t := time.UnixMilli(ms)
	return &t
}
