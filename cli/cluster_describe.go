package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ClusterDescription is the cluster as a whole. Nil is what nobody told.
type ClusterDescription struct {
	ID              string              `json:"clusterId"`
	Controller      int32               `json:"controller"`      // the active one; -1: none is known
	ControllerEpoch int32               `json:"controllerEpoch"` // -1: not told
	Quorum          *QuorumDescription  `json:"quorum"`          // nil: this cluster has none that it tells of
	Nodes           []NodeDescription   `json:"nodes"`
	Totals          ClusterTotals       `json:"totals"`
	Troubled        []TroubledPartition `json:"troubledPartitions,omitempty"` // if they were asked for
	whatToShow      DescribeClusterOptions
}

// NodeDescription is one node, sorted by id.
type NodeDescription struct {
	ID       int32    `json:"id"`
	Address  string   `json:"address,omitempty"` // of a broker's listener for clients, else of a controller's
	Rack     string   `json:"rack,omitempty"`
	Roles    []string `json:"roles"` // broker, controller; none of one that only partitions name
	State    string   `json:"state"` // one of NodeStates
	Leaders  int      `json:"leaders"`
	Replicas int      `json:"replicas"`
	Bytes    *int64   `json:"bytes"`           // of its replicas
	Error    string   `json:"error,omitempty"` // why it did not tell
}

// NodeStates are what a node can be. A silent one is a broker that the cluster counts on and that did not answer; a missing one has
// replicas and is not registered, or, where fenced brokers are not told of, is not there at the moment.
var NodeStates = []string{nodeUp, nodeFenced, nodeSilent, nodeMissing, nodeUnknown}

const (
	nodeUp      = "up"
	nodeFenced  = "fenced"
	nodeSilent  = "silent"
	nodeMissing = "missing"
	nodeUnknown = "unknown" // a controller alone, which is not asked
)

// ClusterTotals counts partitions, internal topics' too.
type ClusterTotals struct {
	Topics          int   `json:"topics"`
	Partitions      int   `json:"partitions"`
	Replicas        int   `json:"replicas"`
	UnderReplicated int   `json:"underReplicated"`
	UnderMinISR     int   `json:"underMinIsr"`
	Leaderless      int   `json:"withoutLeader"`
	NotPreferred    int   `json:"notLedByPreferred"` // of those that have a leader
	Bytes           int64 `json:"bytes"`             // of the nodes that told
}

// TroubledPartition is a partition with something about it that should not last.
type TroubledPartition struct {
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Leader    int32    `json:"leader"` // -1: none
	Replicas  []int32  `json:"replicas"`
	ISR       []int32  `json:"isr"`
	MinISR    int      `json:"minIsr,omitempty"` // that the topic demands; 0: not asked, because all replicas are in sync
	Troubles  []string `json:"troubles"`         // of Troubles
}

// Troubles are what can be the matter with a partition.
var Troubles = []string{withoutLeader, underMinISR, underReplicated, notPreferred}

const (
	withoutLeader   = "without leader"
	underMinISR     = "under min ISR"
	underReplicated = "under-replicated"
	notPreferred    = "not led by preferred replica"
)

// DescribeClusterOptions says what is shown beside the sums.
type DescribeClusterOptions struct {
	Partitions bool // also list the partitions in trouble
}

// DescribeCluster asks for the whole cluster (Metadata, DescribeCluster, DescribeQuorum, DescribeLogDirs and, where replicas are
// not in sync, DescribeConfigs). What was told is returned even if the error, which joins those of what was not, is not nil.
func DescribeCluster(ctx context.Context, t Target, o DescribeClusterOptions) (*ClusterDescription, error) {
	admin, client, done, err := t.adminClient(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	meta, err := admin.Metadata(ctx)
	if err != nil {
		return nil, fmt.Errorf("describe cluster: %w", err)
	}
	c := &ClusterDescription{ID: meta.Cluster, Controller: meta.Controller, ControllerEpoch: -1, whatToShow: o}
	var errs []error
	if servesKey(ctx, admin, describeQuorumKey) {
		c.Controller = -1 // a broker names any broker as the controller, the quorum the one that is
		if c.Quorum, err = describeQuorum(ctx, client, meta.Brokers.NodeIDs()); err != nil {
			errs = append(errs, fmt.Errorf("describe cluster: metadata quorum: %w", err))
		} else {
			c.Controller, c.ControllerEpoch = c.Quorum.Leader, c.Quorum.LeaderEpoch
		}
	}
	c.addBrokers(ctx, client, meta.Brokers)
	c.addControllers()
	minISR, err := minISRs(ctx, admin, meta.Topics)
	if err != nil {
		errs = append(errs, fmt.Errorf("describe cluster: %s: %w", minISRKey, err))
	}
	for _, p := range partitionsByName(meta.Topics) {
		c.count(p, minISR[p.Topic])
	}
	c.Totals.Topics = len(meta.Topics)
	if !o.Partitions {
		c.Troubled = nil
	}
	if err := c.addBytes(ctx, client); err != nil {
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

func partitionsByName(topics kadm.TopicDetails) []kadm.PartitionDetail {
	var list []kadm.PartitionDetail
	for _, t := range topics.Sorted() {
		list = append(list, t.Partitions.Sorted()...)
	}
	return list
}

// addBrokers lists the brokers that Metadata knows, and from DescribeCluster version 2 on also those that are fenced (KIP-1073).
func (c *ClusterDescription) addBrokers(ctx context.Context, client *kgo.Client, known kadm.BrokerDetails) {
	add := func(id int32, host string, port int32, rack *string, state string) {
		if c.node(id) < 0 {
			c.insert(NodeDescription{
				ID: id, Address: net.JoinHostPort(host, strconv.Itoa(int(port))), Rack: value(rack), Roles: []string{"broker"}, State: state,
			})
		}
	}
	for _, b := range known {
		add(b.NodeID, b.Host, b.Port, b.Rack, nodeUp)
	}
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeFencedBrokers = true
	resp, err := req.RequestWith(ctx, client)
	if err != nil || resp.ErrorCode != 0 {
		return // an old cluster, which tells of no more than Metadata
	}
	for _, b := range resp.Brokers {
		state := nodeUp
		if b.IsFenced {
			state = nodeFenced
		}
		add(b.NodeID, b.Host, b.Port, b.Rack, state)
	}
}

// addControllers lists the members of the quorum that are no brokers, and says of the others that they vote.
func (c *ClusterDescription) addControllers() {
	if c.Quorum == nil {
		return
	}
	for _, m := range c.Quorum.Members {
		i := c.node(m.Node)
		switch {
		case i < 0:
			c.insert(NodeDescription{ID: m.Node, Address: m.Address, Roles: []string{"controller"}, State: nodeUnknown})
		case m.Voter:
			c.Nodes[i].Roles = append(c.Nodes[i].Roles, "controller")
		}
	}
}

// node is the index of a node, or -1.
func (c *ClusterDescription) node(id int32) int {
	i, ok := slices.BinarySearchFunc(c.Nodes, id, func(n NodeDescription, id int32) int { return cmp.Compare(n.ID, id) })
	if !ok {
		return -1
	}
	return i
}

func (c *ClusterDescription) insert(n NodeDescription) {
	i, _ := slices.BinarySearchFunc(c.Nodes, n.ID, func(n NodeDescription, id int32) int { return cmp.Compare(n.ID, id) })
	c.Nodes = slices.Insert(c.Nodes, i, n)
}

// count takes a partition into the sums.
func (c *ClusterDescription) count(p kadm.PartitionDetail, minISR int) {
	for _, id := range p.Replicas {
		if c.node(id) < 0 {
			c.insert(NodeDescription{ID: id, Roles: []string{}, State: nodeMissing})
		}
		c.Nodes[c.node(id)].Replicas++
	}
	if i := c.node(p.Leader); i >= 0 {
		c.Nodes[i].Leaders++
	}
	c.Totals.Partitions++
	c.Totals.Replicas += len(p.Replicas)
	troubles := troublesOf(p, minISR)
	for _, t := range troubles {
		*c.Totals.of(t)++
	}
	if len(troubles) > 0 {
		c.Troubled = append(c.Troubled, TroubledPartition{p.Topic, p.Partition, p.Leader, p.Replicas, p.ISR, minISR, troubles})
	}
}

func (t *ClusterTotals) of(trouble string) *int {
	switch trouble {
	case withoutLeader:
		return &t.Leaderless
	case underMinISR:
		return &t.UnderMinISR
	case underReplicated:
		return &t.UnderReplicated
	}
	return &t.NotPreferred
}

// troublesOf judges a partition. A topic that demands more replicas in sync than it has gets by with all of them, as in Kafka.
func troublesOf(p kadm.PartitionDetail, minISR int) []string {
	var list []string
	if p.Leader < 0 {
		list = append(list, withoutLeader)
	}
	if len(p.ISR) < min(minISR, len(p.Replicas)) {
		list = append(list, underMinISR)
	}
	if len(p.ISR) < len(p.Replicas) {
		list = append(list, underReplicated)
	}
	if p.Leader >= 0 && len(p.Replicas) > 0 && p.Leader != p.Replicas[0] {
		list = append(list, notPreferred)
	}
	return list
}

const minISRKey = "min.insync.replicas"

// minISRs are what topics demand whose replicas are not all in sync; for the others it does not matter.
func minISRs(ctx context.Context, admin *kadm.Client, topics kadm.TopicDetails) (map[string]int, error) {
	var names []string
	for name, t := range topics {
		for _, p := range t.Partitions {
			if len(p.ISR) < len(p.Replicas) {
				names = append(names, name)
				break
			}
		}
	}
	if len(names) == 0 || !servesKey(ctx, admin, describeConfigsKey) {
		return nil, nil
	}
	list := map[string]int{}
	resources, err := admin.DescribeTopicConfigs(ctx, names...)
	for _, r := range resources {
		err = cmp.Or(err, r.Err)
		for _, c := range r.Configs {
			if n, bad := strconv.Atoi(c.MaybeValue()); c.Key == minISRKey && bad == nil {
				list[r.Name] = n
			}
		}
	}
	return list, err
}

// addBytes asks the brokers that are up for what their replicas take. One that refuses to tell (for lack of rights) answers all the
// same.
func (c *ClusterDescription) addBytes(ctx context.Context, client *kgo.Client) error {
	var ids []int32
	for _, n := range c.Nodes {
		if n.State == nodeUp {
			ids = append(ids, n.ID)
		}
	}
	held, silent := heldBy(ctx, client, ids, nil)
	var errs []error
	for _, id := range ids {
		n := &c.Nodes[c.node(id)]
		err := silent[id]
		if err == nil {
			n.Bytes = new(int64)
			continue
		}
		n.Error = oneLine(err.Error())
		var refused *kerr.Error
		if !errors.As(err, &refused) {
			n.State = nodeSilent
		}
		errs = append(errs, fmt.Errorf("describe cluster: node %d at %s: %w", id, n.Address, err))
	}
	for _, r := range held {
		if n := &c.Nodes[c.node(r.broker)]; n.Bytes != nil {
			*n.Bytes += r.size
			c.Totals.Bytes += r.size
		}
	}
	return errors.Join(errs...)
}
