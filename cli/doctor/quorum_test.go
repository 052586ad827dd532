package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTheQuorumIsJudgedByWhomItsLeaderHears(t *testing.T) {
	heard := func(ago ...time.Duration) *Quorum {
		q := &Quorum{Leader: 1, Timed: true}
		for i, d := range ago {
			v := Voter{ID: int32(i + 1), Heard: noon.Add(-d)}
			if d < 0 {
				v.Heard = time.Time{}
			}
			q.Voters = append(q.Voters, v)
		}
		return q
	}
	untimed := heard(0, -1, -1)
	untimed.Timed = false
	for name, c := range map[string]struct {
		q        *Quorum
		severity Severity
		words    string
	}{
		"all heard":      {heard(0, time.Second, 9*time.Second), OK, "metadata quorum: 3 voters, led by node 1"},
		"alone":          {heard(0), OK, "1 voter,"},
		"no times told":  {untimed, OK, "3 voters"},
		"one for a hour": {heard(0, time.Hour, 0), Warning, "1 of 3 voters of the metadata quorum not heard by its leader, node 1: node 2 (for 1h0m0s)"},
		"one never":      {heard(0, 0, -1), Warning, "node 3 (never)"},
		"one of two":     {heard(0, -1), Problem, "1 of 2 voters"},
		"two of three":   {heard(0, -1, time.Hour), Problem, "2 of 3 voters"},
		"no leader":      {&Quorum{Leader: -1}, Problem, "has no leader"},
		"refused":        {&Quorum{Leader: -1, Code: codeNotLeader}, Problem, "has no leader that this broker knows of: NOT_LEADER"},
		"no rights":      {&Quorum{Leader: -1, Code: codeNotAuthorized}, Warning, "not logged in"},
	} {
		f := quorumFinding(c.q)
		if f.Severity != c.severity || !strings.Contains(f.What, c.words) || (f.Severity != OK) != (f.Why != "" && f.Do != "") {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestTheQuorumIsAskedForWhereItIsServed(t *testing.T) {
	c := cluster(t)
	c.ControlKey(int16(kmsg.ApiVersions), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
		for _, k := range []int16{keyMetadata, keyVersions, keyDescribeQuorum} {
			resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: k, MaxVersion: min(kmsg.RequestForKey(k).MaxVersion(), 4)})
		}
		return resp, nil, true
	})
	c.ControlKey(keyDescribeQuorum, func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
		topic, p := kmsg.NewDescribeQuorumResponseTopic(), kmsg.NewDescribeQuorumResponseTopicPartition()
		p.LeaderID = 5
		for id, at := range map[int32]int64{5: noon.UnixMilli(), 6: -1} {
			v := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
			v.ReplicaID, v.LastFetchTimestamp = id, at
			p.CurrentVoters = append(p.CurrentVoters, v)
		}
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	finds(t, examine(t, world{}.options(c.ListenAddrs()[0])), Problem, "1 of 2 voters of the metadata quorum not heard by its leader, node 5: node 6 (never)")
}

func TestReplicasThatAreNotInSyncAreAWarning(t *testing.T) {
	c := cluster(t, kfake.NumBrokers(2))
	advertise(c, func(m *kmsg.MetadataResponse) {
		name := "t"
		topic := kmsg.NewMetadataResponseTopic()
		topic.Topic = &name
		for i, isr := range [][]int32{{0, 1}, {0}, {0}} {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader, p.Replicas, p.ISR = int32(i), 0, []int32{0, 1}, isr
			topic.Partitions = append(topic.Partitions, p)
		}
		m.Topics = append(m.Topics, topic)
	})
	finds(t, examine(t, world{}.options(c.ListenAddrs()[0])), Warning, "2 of 3 partitions under-replicated: t-1, t-2; replicas that are not in sync are on broker 1")
}
