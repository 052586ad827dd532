package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListGroupsOptions narrows the list; both filters are applied by the brokers.
type ListGroupsOptions struct {
	States []string // GroupStates, in any case; empty: all
	Types  []string // GroupTypes, in any case; empty: all
}

// GroupStates are the states a group can be in, of all types together.
var GroupStates = []string{"Assigning", "CompletingRebalance", "Dead", "Empty", "NotReady", "PreparingRebalance", "Reconciling", "Stable"}

// GroupTypes are the protocols a group can follow.
var GroupTypes = []string{"classic", "consumer", "share", "streams"}

// GroupSummary is one row of the list.
type GroupSummary struct {
	Group        string `json:"group"`
	Type         string `json:"type,omitempty"` // empty if the broker is older than Kafka 3.8
	ProtocolType string `json:"protocolType"`   // "consumer", "connect", ...; empty for a group that only holds offsets
	State        string `json:"state,omitempty"`
	Coordinator  int32  `json:"coordinator"`
}

// GroupList is sorted by name.
type GroupList []GroupSummary

// WriteTable prints a group a line.
func (l GroupList) WriteTable(w io.Writer) error {
	t := NewTableWriter(w, "GROUP", "TYPE", "STATE", "PROTOCOL", "COORDINATOR")
	for _, g := range l {
		t.Row(g.Group, orDash(g.Type), orDash(g.State), orDash(g.ProtocolType), g.Coordinator)
	}
	return t.Flush()
}

// orDash stands in a table for what is not there.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// ListGroups asks every broker for its groups (ListGroups, key 16). What some brokers listed is returned even if the
// error, which joins those of the others, is not nil.
func ListGroups(ctx context.Context, t Target, o ListGroupsOptions) (GroupList, error) {
	req := kmsg.NewPtrListGroupsRequest()
	var err error
	if req.StatesFilter, err = knownNames("state", o.States, GroupStates); err != nil {
		return nil, err
	}
	if req.TypesFilter, err = knownNames("type", o.Types, GroupTypes); err != nil {
		return nil, err
	}
	client, err := t.connect(ctx, kgo.RetryTimeout(t.timeout()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	return listGroups(ctx, client, req)
}

func listGroups(ctx context.Context, client *kgo.Client, req *kmsg.ListGroupsRequest) (GroupList, error) {
	list := GroupList{}
	var errs []error
	for _, shard := range client.RequestSharded(ctx, req) {
		err := shard.Err
		if err == nil {
			resp := shard.Resp.(*kmsg.ListGroupsResponse)
			err = kafkaError(resp.ErrorCode, nil)
			for _, g := range resp.Groups {
				list = append(list, GroupSummary{g.Group, g.GroupType, g.ProtocolType, g.GroupState, shard.Meta.NodeID})
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("list groups of broker %d: %w", shard.Meta.NodeID, err))
		}
	}
	slices.SortFunc(list, func(a, b GroupSummary) int { return cmp.Compare(a.Group, b.Group) })
	return list, errors.Join(errs...)
}

// describableGroups are the names of the groups that describe understands: share and streams groups have offsets of
// another kind.
func describableGroups(ctx context.Context, client *kgo.Client) ([]string, error) {
	list, err := listGroups(ctx, client, kmsg.NewPtrListGroupsRequest())
	names := []string{}
	for _, g := range list {
		if g.Type == "" || strings.EqualFold(g.Type, "classic") || strings.EqualFold(g.Type, "consumer") {
			names = append(names, g.Group)
		}
	}
	return names, err
}

// knownNames gives each name the spelling of the known one it equals in any case.
func knownNames(what string, names, known []string) ([]string, error) {
	var list []string
	for _, name := range names {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, name) })
		if i < 0 {
			return nil, unknownName(what, name, known)
		}
		list = append(list, known[i])
	}
	return list, nil
}

// groupMissing says whether an error means that there is no such group.
func groupMissing(err error) bool { return errors.Is(err, kerr.GroupIDNotFound) }

// shardError takes the cause out of what kadm gathered of several brokers; the others say the same at greater length.
func shardError(err error) error {
	var shards *kadm.ShardErrors
	if errors.As(err, &shards) && len(shards.Errs) > 0 {
		return shards.Errs[0].Err
	}
	return err
}
