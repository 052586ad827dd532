package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// GroupView is what describe shows of a group.
type GroupView string

// The views of kafka-consumer-groups; GroupOffsets is the one it shows unasked.
const (
	GroupOffsets GroupView = "offsets"
	GroupMembers GroupView = "members"
	GroupState   GroupView = "state"
)

// DescribeGroupsOptions says which groups to describe and what of them.
type DescribeGroupsOptions struct {
	Groups []string
	All    bool // every classic and consumer group; excludes Groups
	View   GroupView
}

// GroupDescription is one group. What its view leaves out is nil.
type GroupDescription struct {
	Group        string           `json:"group"`
	Type         string           `json:"type"` // classic or consumer (KIP-848)
	State        string           `json:"state"`
	ProtocolType string           `json:"protocolType"`
	Assignor     string           `json:"assignor,omitempty"`
	Epoch        *int32           `json:"epoch,omitempty"` // of a consumer group
	Coordinator  GroupCoordinator `json:"coordinator"`
	MemberCount  int              `json:"memberCount"`
	Members      []GroupMember    `json:"members,omitzero"`
	Partitions   []GroupPartition `json:"partitions,omitzero"`
	TotalLag     *int64           `json:"totalLag,omitempty"` // of the partitions whose lag is known

	view GroupView
}

// GroupCoordinator is the broker that a group belongs to.
type GroupCoordinator struct {
	ID   int32  `json:"id"`
	Host string `json:"host"`
	Port int32  `json:"port"`
}

// GroupMember is one member. Assignment is by topic; nil if the group isn't one of consumers.
type GroupMember struct {
	MemberID   string             `json:"memberId"`
	InstanceID string             `json:"instanceId,omitempty"` // of a static member
	ClientID   string             `json:"clientId"`
	Host       string             `json:"host"`
	Subscribed []string           `json:"subscribed,omitempty"`
	Assignment map[string][]int32 `json:"assignment"`
}

// GroupPartition is a partition that is assigned to a member or that the group has committed an offset of.
type GroupPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed"` // null: nothing is committed
	Metadata  string `json:"metadata,omitempty"`
	LogEnd    *int64 `json:"logEnd"` // the high watermark; null: the leader did not say
	Lag       *int64 `json:"lag"`
	MemberID  string `json:"memberId,omitempty"`
	Host      string `json:"host,omitempty"`
	ClientID  string `json:"clientId,omitempty"`
	Error     string `json:"error,omitempty"`
}

// GroupDescriptions are in the order asked for, or by name.
type GroupDescriptions []GroupDescription

// DescribeGroups describes groups with the lag of each partition. Groups that could be described are returned even if
// the error, which joins those of the others, is not nil.
func DescribeGroups(ctx context.Context, t Target, o DescribeGroupsOptions) (GroupDescriptions, error) {
	if o.All == (len(o.Groups) > 0) {
		return nil, usagef("name the groups to describe, or all of them by --all")
	}
	client, err := t.connect(ctx, kgo.RetryTimeout(t.timeout()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	names, listErr := o.Groups, error(nil)
	if o.All {
		if names, listErr = describableGroups(ctx, client); len(names) == 0 {
			return GroupDescriptions{}, listErr
		}
	}
	admin := kadm.NewClient(client)
	list, err := describeGroups(ctx, admin, names)
	err = errors.Join(listErr, err)
	for i := range list {
		list[i].view = o.View
	}
	if o.View == GroupState {
		for i := range list {
			list[i].Members = nil
		}
	}
	if o.View == GroupOffsets {
		err = errors.Join(err, addLag(ctx, admin, list))
	}
	return list, err
}

// describeGroups asks for the groups as classic ones, and again for those that are not (kafka-clients does the same the
// other way round).
func describeGroups(ctx context.Context, admin *kadm.Client, names []string) (GroupDescriptions, error) {
	names = distinct(names)
	found := map[string]GroupDescription{}
	errs := map[string]error{}
	classic, err := admin.DescribeGroups(ctx, slices.Clone(names)...)
	var others []string
	for _, name := range names {
		g, ok := classic[name]
		switch {
		case !ok:
			errs[name] = orMissing(shardError(err))
		case g.Err != nil && !groupMissing(g.Err):
			errs[name] = g.Err
		case g.Err != nil || g.State == "Dead":
			others, errs[name] = append(others, name), kerr.GroupIDNotFound
		default:
			found[name] = classicGroup(&g)
		}
	}
	if len(others) > 0 && servesKey(ctx, admin, consumerGroupDescribeKey) {
		describeConsumerGroups(ctx, admin, others, found, errs)
	}
	list := GroupDescriptions{}
	var all []error
	for _, name := range names {
		if g, ok := found[name]; ok {
			list = append(list, g)
			continue
		}
		all = append(all, fmt.Errorf("describe group %s: %w", name, errs[name]))
	}
	return list, errors.Join(all...)
}

const consumerGroupDescribeKey = 69

// orMissing is for an answer that leaves a group out without an error.
func orMissing(err error) error {
	if err == nil {
		return errors.New("the broker did not answer for it")
	}
	return err
}

func distinct(names []string) []string {
	var list []string
	for _, name := range names {
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

func describeConsumerGroups(ctx context.Context, admin *kadm.Client, names []string, found map[string]GroupDescription, errs map[string]error) {
	groups, err := admin.DescribeConsumerGroups(ctx, names...)
	for _, name := range names {
		g, ok := groups[name]
		switch {
		case !ok && err != nil:
			errs[name] = shardError(err)
		case ok && g.Err != nil:
			errs[name] = g.Err
		case ok:
			found[name] = consumerGroup(&g)
		}
	}
}

func coordinatorOf(b kadm.BrokerDetail) GroupCoordinator {
	return GroupCoordinator{b.NodeID, b.Host, b.Port}
}

func classicGroup(g *kadm.DescribedGroup) GroupDescription {
	d := GroupDescription{
		Group: g.Group, Type: "classic", State: g.State, ProtocolType: g.ProtocolType, Assignor: g.Protocol,
		Coordinator: coordinatorOf(g.Coordinator), MemberCount: len(g.Members), Members: []GroupMember{},
	}
	for _, m := range g.Members {
		row := GroupMember{MemberID: m.MemberID, ClientID: m.ClientID, Host: m.ClientHost}
		if m.InstanceID != nil {
			row.InstanceID = *m.InstanceID
		}
		if c, ok := m.Join.AsConsumer(); ok {
			row.Subscribed = slices.Sorted(slices.Values(c.Topics))
		}
		if c, ok := m.Assigned.AsConsumer(); ok {
			row.Assignment = map[string][]int32{}
			for _, t := range c.Topics {
				row.Assignment[t.Topic] = slices.Sorted(slices.Values(t.Partitions))
			}
		}
		d.Members = append(d.Members, row)
	}
	return d
}

func consumerGroup(g *kadm.DescribedConsumerGroup) GroupDescription {
	d := GroupDescription{
		Group: g.Group, Type: "consumer", State: g.State, ProtocolType: "consumer", Assignor: g.AssignorName, Epoch: &g.Epoch,
		Coordinator: coordinatorOf(g.Coordinator), MemberCount: len(g.Members), Members: []GroupMember{},
	}
	for _, m := range g.Members {
		row := GroupMember{MemberID: m.MemberID, ClientID: m.ClientID, Host: m.ClientHost, Subscribed: slices.Sorted(slices.Values(m.SubscribedTopics))}
		if m.InstanceID != nil {
			row.InstanceID = *m.InstanceID
		}
		row.Assignment = map[string][]int32{}
		for _, t := range m.Assignment.Sorted() {
			row.Assignment[t.Topic] = t.Partitions
		}
		d.Members = append(d.Members, row)
	}
	return d
}
