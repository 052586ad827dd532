package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTheClusterIsDescribedWithItsNodes(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.ClusterID("the-cluster"), kfake.SeedTopics(4, "a"), kfake.SeedTopics(1, "b"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	target := Target{Bootstrap: c.ListenAddrs(), Timeout: 10 * time.Second}
	numbered(t, target, "b", 0, 5)
	d, err := DescribeCluster(t.Context(), target, DescribeClusterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d.ID != "the-cluster" || d.Quorum != nil || d.Totals.Topics != 2 || d.Totals.Partitions != 5 || len(d.Nodes) != 2 || d.Totals.Bytes == 0 {
		t.Fatalf("%+v", d)
	}
	leaders, bytes := 0, int64(0)
	for _, n := range d.Nodes {
		leaders, bytes = leaders+n.Leaders, bytes+*n.Bytes
		if n.State != nodeUp || !slices.Equal(n.Roles, []string{"broker"}) {
			t.Errorf("%+v", n)
		}
	}
	if leaders != 5 || bytes != d.Totals.Bytes {
		t.Errorf("%d leaders, %d bytes: %+v", leaders, bytes, d)
	}
}

func TestABrokerThatDoesNotTellIsNamed(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(2, "a"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.ControlKey(int16(kmsg.DescribeLogDirs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if c.CurrentNode() == 1 {
			return nil, errors.New("hangs up"), true
		}
		resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return resp, nil, true
	})
	d, err := DescribeCluster(t.Context(), Target{Bootstrap: c.ListenAddrs()}, DescribeClusterOptions{})
	if !errors.Is(err, kerr.ClusterAuthorizationFailed) || !strings.Contains(err.Error(), "node 1 at 127.0.0.1:") {
		t.Errorf("got %v", err)
	}
	if len(d.Nodes) != 2 || d.Nodes[0].State != nodeUp || d.Nodes[1].State != nodeSilent || d.Nodes[0].Bytes != nil || d.Nodes[0].Error == "" {
		t.Errorf("%+v", d.Nodes)
	}
}

func TestPartitionsInTroubleAreCounted(t *testing.T) {
	d := &ClusterDescription{whatToShow: DescribeClusterOptions{Partitions: true}, Nodes: []NodeDescription{{ID: 1, State: nodeUp}, {ID: 2, State: nodeUp}}}
	for i, p := range []kmsg.MetadataResponseTopicPartition{
		{Leader: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{3, 2, 1}},
		{Leader: 2, Replicas: []int32{1, 2, 3}, ISR: []int32{2}},
		{Leader: -1, Replicas: []int32{1, 2, 3}},
		{Leader: 1, Replicas: []int32{1}, ISR: []int32{1}}, // min ISR 2 asks for no more than there are
	} {
		p.Partition = int32(i)
		d.count("t", p, 2)
	}
	want := ClusterTotals{Partitions: 4, Replicas: 10, UnderReplicated: 2, UnderMinISR: 2, Leaderless: 1, NotPreferred: 1}
	if d.Totals != want {
		t.Errorf("got %+v, want %+v", d.Totals, want)
	}
	if n := d.Nodes[2]; n.ID != 3 || n.State != nodeMissing || n.Replicas != 3 || d.Nodes[0].Leaders != 2 {
		t.Errorf("%+v", d.Nodes)
	}
	golden(t, strings.SplitAfter(table(t, d), "BYTES\n")[1], `
	1     -        -     -      up       2        4         -
	2     -        -     -      up       1        3         -
	3     -        -     -      missing  0        3         -

	TOPIC  PARTITION  LEADER  REPLICAS  ISR  MIN-ISR  TROUBLE
	t      1          2       1,2,3     2    2        under min ISR, under-replicated, not led by preferred replica
	t      2          none    1,2,3     -    2        without leader, under min ISR, under-replicated
	`)
}

// quorumTold is how a leader describes a quorum in which one voter was never heard.
func quorumTold() *kmsg.DescribeQuorumResponse {
	member := func(id int32, end, heard int64) kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
		m := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
		m.ReplicaID, m.LogEndOffset, m.LastFetchTimestamp, m.LastCaughtUpTimestamp = id, end, heard, heard
		return m
	}
	p := kmsg.NewDescribeQuorumResponseTopicPartition()
	p.LeaderID, p.LeaderEpoch, p.HighWatermark = 1, 7, 40
	p.CurrentVoters = append(p.CurrentVoters, member(2, -1, -1), member(1, 42, 1000))
	p.Observers = append(p.Observers, member(0, 30, 500))
	t := kmsg.NewDescribeQuorumResponseTopic()
	t.Topic, t.Partitions = "__cluster_metadata", append(t.Partitions, p)
	node, l := kmsg.NewDescribeQuorumResponseNode(), kmsg.NewDescribeQuorumResponseNodeListener()
	node.NodeID, l.Name, l.Host, l.Port = 2, "CONTROLLER", "::1", 9093
	node.Listeners = append(node.Listeners, l)
	resp := kmsg.NewPtrDescribeQuorumResponse()
	resp.Topics, resp.Nodes = append(resp.Topics, t), append(resp.Nodes, node)
	return resp
}

func TestTheQuorumIsShownWithWhatItsMembersLack(t *testing.T) {
	told := quorumTold()
	d := &ClusterDescription{Controller: 1, ControllerEpoch: 7, Quorum: quorumOf(&told.Topics[0].Partitions[0], told.Nodes), Nodes: []NodeDescription{{ID: 1, Roles: []string{"broker"}}}}
	d.addControllers()
	var nodes []string
	for _, n := range d.Nodes {
		nodes = append(nodes, fmt.Sprint(n.ID, n.Address, n.Roles))
	}
	if got := strings.Join(nodes, " "); got != "0[controller] 1[broker controller] 2[::1]:9093[controller]" {
		t.Errorf("nodes %s", got)
	}
	for _, m := range d.Quorum.Members {
		if m.LastFetch != nil {
			*m.LastFetch, *m.LastCaughtUp = m.LastFetch.UTC(), m.LastCaughtUp.UTC()
		}
	}
	golden(t, strings.SplitAfter(strings.Split(table(t, d), "\n\nNODE")[0]+"\n", "led by preferred replica  0\n\n")[1], `
	QUORUM  STATUS    END  LAG  LAST-FETCH                LAST-CAUGHT-UP            DIRECTORY
	1       leader    42   0    1970-01-01T00:00:01.000Z  1970-01-01T00:00:01.000Z  -
	2       voter     -    -    -                         -                         -
	0       observer  30   12   1970-01-01T00:00:00.500Z  1970-01-01T00:00:00.500Z  -
	`)
	if !strings.HasPrefix(table(t, d), "cluster                       -\ncontroller                    1 (epoch 7)\n") {
		t.Errorf("got\n%s", table(t, d))
	}
}

// serveQuorum makes c a cluster that describes its quorum, by answer.
func serveQuorum(c *kfake.Cluster, answer func(*kmsg.DescribeQuorumResponse)) {
	c.ControlKey(int16(kmsg.ApiVersions), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
		for _, k := range []int16{1, 2, 3, 18, 32, 35, 55, 60} {
			resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: k, MaxVersion: min(kmsg.RequestForKey(k).MaxVersion(), 4)})
		}
		return resp, nil, true
	})
	c.ControlKey(int16(kmsg.DescribeQuorum), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
		answer(resp)
		return resp, nil, true
	})
}

func TestTheControllerIsTheQuorumsLeader(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(1, "a"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	lost := false
	serveQuorum(c, func(resp *kmsg.DescribeQuorumResponse) {
		told := quorumTold()
		resp.Topics, resp.Nodes = told.Topics, told.Nodes
		if lost {
			resp.Topics[0].Partitions[0].ErrorCode = kerr.NotLeaderForPartition.Code
		}
	})
	target := Target{Bootstrap: c.ListenAddrs()}
	d, err := DescribeCluster(t.Context(), target, DescribeClusterOptions{})
	if err != nil || d.Controller != 1 || d.ControllerEpoch != 7 || len(d.Quorum.Members) != 3 {
		t.Errorf("%+v, %v", d, err)
	}
	lost = true
	d, err = DescribeCluster(t.Context(), target, DescribeClusterOptions{})
	if !errors.Is(err, kerr.NotLeaderForPartition) || d == nil || d.Controller != -1 || d.Quorum != nil || len(d.Nodes) != 2 {
		t.Errorf("without a leader: %+v, %v", d, err)
	}
}
