package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

// listed are the groups of an answer, "name type state kind", in order.
func listed(resp *kmsg.ListGroupsResponse) string {
	var rows []string
	for _, g := range resp.Groups {
		rows = append(rows, strings.TrimRight(fmt.Sprintf("%s %s %s %s", g.Group, g.ProtocolType, g.GroupState, g.GroupType), " "))
	}
	slices.Sort(rows)
	return strings.Join(rows, "; ")
}

func TestListGroupsFiltersByStateAndTypeWhereItsVersionCan(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	b.alone(c, "live") // on partitions of their own: all shards are asked
	b.mustCommit(c, "simple", "t", 0, 1)
	left := b.alone(b.dial(), "left")
	ask[*kmsg.LeaveGroupResponse](c, leaveRequest(3, "left", left.id))
	list := func(version int16, states, types []string) string {
		t.Helper()
		req := kmsg.NewPtrListGroupsRequest()
		req.Version, req.StatesFilter, req.TypesFilter = version, states, types
		resp := ask[*kmsg.ListGroupsResponse](c, req)
		mustBeCode(t, "list", resp.ErrorCode, nil)
		return listed(resp)
	}
	for v := range int16(6) {
		want := "left consumer; live consumer; simple"
		switch {
		case v == 4:
			want = "left consumer Empty; live consumer Stable; simple  Empty"
		case v == 5:
			want = "left consumer Empty classic; live consumer Stable classic; simple  Empty classic"
		}
		if got := list(v, nil, nil); got != want {
			t.Errorf("version %d: %q, want %q", v, got, want)
		}
	}
	if got := list(3, []string{"Stable"}, []string{"share"}); got != "left consumer; live consumer; simple" {
		t.Errorf("version 3 knows no filters: %q", got)
	}
	for _, c := range []struct {
		states, types []string
		want          string
	}{
		{[]string{"sTable"}, nil, "live consumer Stable classic"},
		{[]string{"Stable", "Empty"}, []string{"CLASSIC"}, "left consumer Empty classic; live consumer Stable classic; simple  Empty classic"},
		{[]string{"PreparingRebalance"}, nil, ""},
		{[]string{"nonsense"}, nil, ""},
		{nil, []string{"consumer", "share", "nonsense"}, ""},
		{nil, []string{"share", "classic"}, "left consumer Empty classic; live consumer Stable classic; simple  Empty classic"},
	} {
		if got := list(5, c.states, c.types); got != c.want {
			t.Errorf("states %v types %v: %q, want %q", c.states, c.types, got, c.want)
		}
	}
}

func TestListGroupsIsEmptyWhileACoordinatorIsLoading(t *testing.T) {
	b := startFakeGroups(t, &fakeGroups{submit: func(_ int32, _ any, done func(any, error)) {
		done(nil, kafkaproto.ErrCoordinatorLoadInProgress)
	}})
	resp := ask[*kmsg.ListGroupsResponse](b.dial(), kmsg.NewPtrListGroupsRequest())
	mustBeCode(t, "list", resp.ErrorCode, kafkaproto.ErrCoordinatorLoadInProgress)
	if len(resp.Groups) != 0 {
		t.Errorf("%+v", resp)
	}
}
