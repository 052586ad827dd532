package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

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

	whatToShow DescribeClusterOptions
	topics     []kmsg.MetadataResponseTopic // nil: not told
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

// DescribeCluster asks for the whole cluster (Metadata, DescribeLogDirs, and then of brokers that have answered DescribeCluster,
// DescribeQuorum and, where replicas are not in sync, DescribeConfigs). No step may use up the time of the next: what was told is
// returned even if the error, which joins those of what was not, is not nil.
func DescribeCluster(ctx context.Context, t Target, o DescribeClusterOptions) (*ClusterDescription, error) {
	c := &ClusterDescription{Controller: -1, ControllerEpoch: -1, whatToShow: o}
	client, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	steps := []func(context.Context, *kgo.Client) error{c.askMetadata, c.askBrokers, c.askFenced, c.askQuorum, c.askPartitions}
	var errs []error
	for _, ask := range steps {
		step, cancel := context.WithTimeout(ctx, t.timeout()/time.Duration(len(steps)))
		err := ask(step, client)
		cancel()
		if c.topics == nil {
			return nil, err
		}
		errs = append(errs, err)
	}
	if !o.Partitions {
		c.Troubled = nil
	}
	return c, errors.Join(errs...)
}

// askMetadata asks all bootstrap addresses at once, and takes what the first answers: a client that chooses one by itself waits
// for it, be it alive or not.
func (c *ClusterDescription) askMetadata(ctx context.Context, client *kgo.Client) error {
	type told struct {
		answer kmsg.Response
		err    error
	}
	seeds := client.SeedBrokers()
	answers := make(chan told, len(seeds))
	for _, seed := range seeds {
		go func() {
			answer, err := seed.Request(ctx, kmsg.NewPtrMetadataRequest())
			answers <- told{answer, err}
		}()
	}
	var errs []error
	for range seeds {
		a := <-answers
		if a.err != nil {
			errs = append(errs, fmt.Errorf("describe cluster: %w", a.err))
			continue
		}
		meta := a.answer.(*kmsg.MetadataResponse)
		c.ID, c.Controller, c.topics = value(meta.ClusterID), meta.ControllerID, meta.Topics
		if c.topics == nil {
			c.topics = []kmsg.MetadataResponseTopic{}
		}
		for _, b := range meta.Brokers {
			c.addBroker(b.NodeID, b.Host, b.Port, b.Rack, nodeUp)
		}
		return nil
	}
	return errors.Join(errs...)
}

func (c *ClusterDescription) addBroker(id int32, host string, port int32, rack *string, state string) {
	if c.node(id) < 0 {
		c.insert(NodeDescription{
			ID: id, Address: net.JoinHostPort(host, strconv.Itoa(int(port))), Rack: value(rack), Roles: []string{"broker"}, State: state,
		})
	}
}

// answering are the brokers that have answered.
func (c *ClusterDescription) answering() []int32 {
	var ids []int32
	for _, n := range c.Nodes {
		if n.State == nodeUp {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// askFenced adds the brokers that Metadata leaves out (KIP-1073, from version 2 on). An old cluster does not tell.
func (c *ClusterDescription) askFenced(ctx context.Context, client *kgo.Client) error {
	ids := c.answering()
	if len(ids) == 0 {
		return nil
	}
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeFencedBrokers = true
	answer, err := client.Broker(int(ids[0])).Request(ctx, req)
	if err != nil {
		return nil
	}
	for _, b := range answer.(*kmsg.DescribeClusterResponse).Brokers {
		state := nodeUp
		if b.IsFenced {
			state = nodeFenced
		}
		c.addBroker(b.NodeID, b.Host, b.Port, b.Rack, state)
	}
	return nil
}

// askQuorum adds the quorum and who is in it.
func (c *ClusterDescription) askQuorum(ctx context.Context, client *kgo.Client) error {
	ids := c.answering()
	if len(ids) == 0 || !servesOn(ctx, client, ids[0], describeQuorumKey) {
		return nil
	}
	c.Controller = -1 // a broker names any broker as the controller, the quorum the one that is
	var err error
	if c.Quorum, err = describeQuorum(ctx, client, ids); err != nil {
		return fmt.Errorf("describe cluster: metadata quorum: %w", err)
	}
	c.Controller, c.ControllerEpoch = c.Quorum.Leader, c.Quorum.LeaderEpoch
	c.addControllers()
	return nil
}

// askPartitions counts the partitions, and asks what topics demand of those that are not well.
func (c *ClusterDescription) askPartitions(ctx context.Context, client *kgo.Client) error {
	slices.SortFunc(c.topics, func(a, b kmsg.MetadataResponseTopic) int { return cmp.Compare(value(a.Topic), value(b.Topic)) })
	minISR, err := c.minISRs(ctx, client)
	for _, t := range c.topics {
		slices.SortFunc(t.Partitions, func(a, b kmsg.MetadataResponseTopicPartition) int { return cmp.Compare(a.Partition, b.Partition) })
		for _, p := range t.Partitions {
			c.count(value(t.Topic), p, minISR[value(t.Topic)])
		}
	}
	c.Totals.Topics = len(c.topics)
	if err != nil {
		return fmt.Errorf("describe cluster: %s: %w", minISRKey, err)
	}
	return nil
}

// addControllers lists the members of the quorum that are no brokers, and says of the others that they vote.
func (c *ClusterDescription) addControllers() {
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
func (c *ClusterDescription) count(topic string, p kmsg.MetadataResponseTopicPartition, minISR int) {
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
		c.Troubled = append(c.Troubled, TroubledPartition{topic, p.Partition, p.Leader, p.Replicas, p.ISR, minISR, troubles})
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
func troublesOf(p kmsg.MetadataResponseTopicPartition, minISR int) []string {
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
func (c *ClusterDescription) minISRs(ctx context.Context, client *kgo.Client) (map[string]int, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, t := range c.topics {
		for _, p := range t.Partitions {
			if len(p.ISR) < len(p.Replicas) {
				r := kmsg.NewDescribeConfigsRequestResource()
				r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, value(t.Topic), []string{minISRKey}
				req.Resources = append(req.Resources, r)
				break
			}
		}
	}
	ids := c.answering()
	if len(req.Resources) == 0 || len(ids) == 0 || !servesOn(ctx, client, ids[0], describeConfigsKey) {
		return nil, nil
	}
	answer, err := client.Broker(int(ids[0])).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	list := map[string]int{}
	for _, r := range answer.(*kmsg.DescribeConfigsResponse).Resources {
		if failed := kafkaError(r.ErrorCode, r.ErrorMessage); failed != nil && err == nil {
			err = failed
		}
		for _, entry := range r.Configs {
			if n, bad := strconv.Atoi(value(entry.Value)); entry.Name == minISRKey && bad == nil {
				list[r.ResourceName] = n
			}
		}
	}
	return list, err
}

// askBrokers asks each broker for what its replicas take, which also shows who answers. One that refuses (for lack of rights) lives
// all the same.
func (c *ClusterDescription) askBrokers(ctx context.Context, client *kgo.Client) error {
	held, silent := heldBy(ctx, client, c.answering(), nil)
	var errs []error
	for i := range c.Nodes {
		n := &c.Nodes[i]
		err := silent[n.ID]
		if err == nil {
			n.Bytes = new(int64)
			continue
		}
		n.Error = oneLine(err.Error())
		var refused *kerr.Error
		if !errors.As(err, &refused) {
			n.State = nodeSilent
		}
		errs = append(errs, fmt.Errorf("describe cluster: node %d at %s: %w", n.ID, n.Address, err))
	}
	for _, r := range held {
		if n := &c.Nodes[c.node(r.broker)]; n.Bytes != nil {
			*n.Bytes += r.size
			c.Totals.Bytes += r.size
		}
	}
	return errors.Join(errs...)
}
