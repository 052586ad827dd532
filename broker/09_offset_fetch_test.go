package broker

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

func TestAllOffsetsAreFetchedWithANullListFromVersion2On(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	b.mustCommit(c, "g", "t", 0, 1)
	b.mustCommit(c, "g", "t", 1, 2)
	b.mustCommit(c, "g", "other", 0, 3)
	want := []string{"other:0 3 epoch -1 \"note\" 0", "t:0 1 epoch -1 \"note\" 0", "t:1 2 epoch -1 \"note\" 0"}
	for v := int16(2); v <= 10; v++ {
		got := b.offsetsIn(ask[*kmsg.OffsetFetchResponse](c, b.fetchOffsetsRequest(v, "g", "")))
		slices.Sort(got)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("version %d: %q", v, got)
		}
	}
	for v := range int16(11) {
		none := b.fetchOffsetsRequest(v, "g", "")
		none.Topics, none.Groups[0].Topics = []kmsg.OffsetFetchRequestTopic{}, []kmsg.OffsetFetchRequestGroupTopic{}
		if got := b.offsetsIn(ask[*kmsg.OffsetFetchResponse](c, none)); len(got) != 0 {
			t.Errorf("version %d, an empty list: %q", v, got)
		}
	}
}

func TestOffsetsNeverCommittedAreMinusOneWhateverIsAsked(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	for v := range int16(11) {
		for _, topic := range []string{"t", "nowhere"} {
			if v >= 10 && topic == "nowhere" {
				continue
			}
			want := []string{topic + ":0 -1 epoch -1 \"\" 0", topic + ":9 -1 epoch -1 \"\" 0"}
			if got := b.offsetsIn(ask[*kmsg.OffsetFetchResponse](c, b.fetchOffsetsRequest(v, "absent", topic, 0, 9))); !reflect.DeepEqual(got, want) {
				t.Errorf("version %d: %q, want %q", v, got, want)
			}
		}
	}
}

func TestUnknownTopicIDsFailByThemselves(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	b.mustCommit(c, "g", "t", 0, 1)
	for _, id := range [][16]byte{{}, {9}} {
		req := b.fetchOffsetsRequest(10, "g", "t", 0)
		req.Groups[0].Topics = append(req.Groups[0].Topics, kmsg.OffsetFetchRequestGroupTopic{TopicID: id, Partitions: []int32{0, 1}})
		resp := ask[*kmsg.OffsetFetchResponse](c, req)
		topics := resp.Groups[0].Topics
		if len(topics) != 2 || topics[0].Partitions[0].Offset != 1 || topics[1].TopicID != id || len(topics[1].Partitions) != 2 {
			t.Fatalf("%+v", resp)
		}
		for _, p := range topics[1].Partitions {
			mustBeCode(t, "unknown id", p.ErrorCode, kafkaproto.ErrUnknownTopicID)
			if p.Offset != -1 || p.LeaderEpoch != -1 || p.Metadata == nil || *p.Metadata != "" {
				t.Errorf("%+v", p)
			}
		}
	}
}

func TestTopicsWithoutAnIDAreLeftOutWhereTheyCannotBeNamed(t *testing.T) {
	b, asked := captureGroups(t, groups.OffsetFetchAnswer{Topics: []groups.FetchedTopic{
		{Topic: "gone", Partitions: []groups.FetchedOffset{{Offset: 1}}},
		{Topic: "t", Partitions: []groups.FetchedOffset{{Offset: 2}}},
	}})
	c := b.dial()
	for v, want := range map[int16][]string{
		9:  {"gone:0 1 epoch 0 \"\" 0", "t:0 2 epoch 0 \"\" 0"},
		10: {"t:0 2 epoch 0 \"\" 0"},
	} {
		got := b.offsetsIn(ask[*kmsg.OffsetFetchResponse](c, b.fetchOffsetsRequest(v, "g", "")))
		if !reflect.DeepEqual(got, want) || !asked().(groups.OffsetFetch).All {
			t.Errorf("version %d: %q", v, got)
		}
	}
}

func TestOffsetsOfManyGroupsComeInTheOrderAsked(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	for v := int16(8); v <= 10; v++ {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version = v
		for i := range 50 {
			group := fmt.Sprint("group-", i%40) // some twice
			b.mustCommit(c, group, "t", 0, int64(i%40))
			req.Groups = append(req.Groups, b.fetchOffsetsRequest(v, group, "t", 0).Groups[0])
		}
		resp := ask[*kmsg.OffsetFetchResponse](c, req)
		for i, g := range resp.Groups {
			if g.Group != req.Groups[i].Group || g.ErrorCode != 0 || g.Topics[0].Partitions[0].Offset != int64(i%40) {
				t.Errorf("version %d row %d: %+v", v, i, g)
			}
		}
		req.Groups = nil
		if resp := ask[*kmsg.OffsetFetchResponse](c, req); len(resp.Groups) != 0 {
			t.Errorf("no groups: %+v", resp)
		}
	}
}

func TestAFetchOfStableOffsetsSaysSoFromVersion7On(t *testing.T) {
	b, asked := captureGroups(t, groups.OffsetFetchAnswer{Topics: []groups.FetchedTopic{
		{Topic: "t", Partitions: []groups.FetchedOffset{{Offset: -1, LeaderEpoch: -1, Err: kafkaproto.ErrUnstableOffsetCommit}}},
	}})
	c := b.dial()
	member := "m"
	for v := int16(5); v <= 10; v++ {
		req := b.fetchOffsetsRequest(v, "g", "t", 0)
		req.RequireStable = true
		req.Groups[0].MemberID, req.Groups[0].MemberEpoch = &member, 3
		want := groups.OffsetFetch{Group: "g", MemberEpoch: -1, RequireStable: v >= 7, Topics: []groups.OffsetFetchTopic{
			{Topic: "t", Partitions: []kafkaproto.PartitionID{0}},
		}}
		topic, _ := b.quorum.Image().Topic("t")
		want.Topics[0].TopicID = topic.ID
		if v >= 9 {
			want.MemberID, want.MemberEpoch = &member, 3
		}
		got := b.offsetsIn(ask[*kmsg.OffsetFetchResponse](c, req))
		if wantRow := fmt.Sprintf("t:0 -1 epoch -1 \"\" %d", kafkaproto.ErrUnstableOffsetCommit.Num); len(got) != 1 || got[0] != wantRow {
			// Nothing but the row of the partition tells of it.
			t.Errorf("version %d: %q", v, got)
		}
		if input := asked(); !reflect.DeepEqual(input, want) {
			t.Errorf("version %d:\ngot  %+v\nwant %+v", v, input, want)
		}
	}
}

func TestTheEmptyGroupIDHasOffsets(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	b.mustCommit(c, "", "t", 0, 3)
	if got := b.committed(c, "", "t", 0); got != 3 {
		t.Errorf("committed %d", got)
	}
}

func TestOldOffsetFetchHasNoPlaceForAnErrorButItsPartitions(t *testing.T) {
	b := startFakeGroups(t, &fakeGroups{submit: func(_ int32, _ any, done func(any, error)) { done(nil, kafkaproto.ErrNotCoordinator) }})
	c := b.dial()
	for v := range int16(2) {
		got := b.offsetsIn(ask[*kmsg.OffsetFetchResponse](c, b.fetchOffsetsRequest(v, "g", "t", 0, 1)))
		want := []string{"t:0 -1 epoch -1 \"\" 16", "t:1 -1 epoch -1 \"\" 16"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("version %d: %q", v, got)
		}
	}
}

func TestCommittedLeaderEpochsAndMetadataOutliveARestart(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	req := b.commitRequest(8, "g", "t", 0, 7)
	req.Topics[0].Partitions[0].LeaderEpoch = 4
	mustBeCode(t, "commit", ask[*kmsg.OffsetCommitResponse](c, req).Topics[0].Partitions[0].ErrorCode, nil)
	b.registerAnew()
	b.awaitGroups()
	for v := int16(5); v <= 10; v++ {
		got := b.offsetsIn(ask[*kmsg.OffsetFetchResponse](c, b.fetchOffsetsRequest(v, "g", "t", 0)))
		if len(got) != 1 || got[0] != "t:0 7 epoch 4 \"note\" 0" {
			t.Errorf("version %d: %q", v, got)
		}
	}
}
