package broker

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// captureGroups are coordinators that keep what they were asked and answer with what the test gives.
func captureGroups(t testing.TB, answer any) (b *testBroker, asked func() any) {
	inputs := make(chan any, 1)
	b = startFakeGroups(t, &fakeGroups{submit: func(_ int32, input any, done func(any, error)) {
		inputs <- input
		done(answer, nil)
	}})
	return b, func() any {
		t.Helper()
		select {
		case input := <-inputs:
			return input
		default:
			t.Fatal("the coordinator was not asked")
			return nil
		}
	}
}

func TestOffsetsAndTheirMetadataComeBackInEveryVersion(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	for commit := range int16(11) {
		group := fmt.Sprint("g", commit)
		req := b.commitRequest(commit, group, "t", 1, 100+int64(commit))
		req.Topics[0].Partitions[0].LeaderEpoch = 4
		req.Topics[0].Partitions[0].Timestamp = time.Now().UnixMilli()
		resp := ask[*kmsg.OffsetCommitResponse](c, req)
		mustBeCode(t, group, resp.Topics[0].Partitions[0].ErrorCode, nil)
		if commit < 10 && resp.Topics[0].Topic != "t" || commit >= 10 && resp.Topics[0].TopicID != req.Topics[0].TopicID {
			t.Errorf("version %d: %+v", commit, resp)
		}
		for fetch := range int16(11) {
			epoch := -1
			if commit >= 6 && fetch >= 5 {
				epoch = 4
			}
			want := []string{"t:0 -1 epoch -1 \"\" 0", fmt.Sprintf("t:1 %d epoch %d \"note\" 0", 100+commit, epoch)}
			got := b.offsetsIn(ask[*kmsg.OffsetFetchResponse](c, b.fetchOffsetsRequest(fetch, group, "t", 0, 1)))
			if !reflect.DeepEqual(got, want) {
				t.Errorf("committed with %d, fetched with %d: %q, want %q", commit, fetch, got, want)
			}
		}
	}
}

func TestCommitsSayWhoTheyAreAsTheirVersionCan(t *testing.T) {
	instance := "here"
	for v := range int16(11) {
		b, asked := captureGroups(t, []groups.OffsetCommitAnswer{{Topic: "t"}})
		req := b.commitRequest(v, "g", "t", 0, 5)
		req.Generation, req.MemberID, req.InstanceID, req.RetentionTimeMillis = 7, "m", &instance, 90_000
		req.Topics[0].Partitions[0].LeaderEpoch, req.Topics[0].Partitions[0].Timestamp = 3, 1_700_000_000_123
		mustBeCode(t, "commit", ask[*kmsg.OffsetCommitResponse](b.dial(), req).Topics[0].Partitions[0].ErrorCode, nil)
		want := groups.OffsetCommit{Group: "g", Generation: 7, MemberID: "m", Retention: -1, Offsets: []groups.CommitOffset{
			{Topic: "t", TopicID: req.Topics[0].TopicID, Offset: 5, LeaderEpoch: -1, Metadata: kmsg.StringPtr("note")},
		}}
		if topic, _ := b.quorum.Image().Topic("t"); true {
			want.Offsets[0].TopicID = topic.ID
		}
		switch {
		case v == 0:
			want.Generation, want.MemberID = -1, ""
		case v == 1:
			at := kafkaproto.Timestamp(1_700_000_000_123)
			want.Offsets[0].Timestamp = &at
		case v <= 4:
			want.Retention = 90 * time.Second
		case v >= 6:
			want.Offsets[0].LeaderEpoch = 3
		}
		if v >= 7 {
			want.InstanceID = &instance
		}
		want.KnowsGroupIDNotFound = v >= 9
		if got := asked(); !reflect.DeepEqual(got, want) {
			t.Errorf("version %d:\ngot  %+v\nwant %+v", v, got, want)
		}
	}
}

func TestRetentionOfACommitMayBeAnyNumber(t *testing.T) {
	for millis, want := range map[int64]time.Duration{
		-1: -1, -77: -1, 0: 0, 1: time.Millisecond, 1<<63 - 1: time.Duration(maxRetentionMillis) * time.Millisecond,
	} {
		b, asked := captureGroups(t, []groups.OffsetCommitAnswer{{Topic: "t"}})
		req := b.commitRequest(3, "g", "t", 0, 5)
		req.RetentionTimeMillis = millis
		ask[*kmsg.OffsetCommitResponse](b.dial(), req)
		if got := asked().(groups.OffsetCommit).Retention; got != want {
			t.Errorf("%d ms became %s, want %s", millis, got, want)
		}
	}
}

func TestCommitsForWhatDoesNotExistFailAndTheOthersSucceed(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	for v := range int16(11) {
		req := b.commitRequest(v, "g", "t", 0, 5)
		for partition, offset := range map[int32]int64{1: 6, 2: 7, -1: 8} {
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, kmsg.OffsetCommitRequestTopicPartition{
				Partition: partition, Offset: offset, LeaderEpoch: -1, Timestamp: -1})
		}
		nowhere := b.commitRequest(v, "g", "nowhere", 0, 9).Topics[0]
		nowhere.TopicID = [16]byte{1}
		zeros := nowhere
		zeros.TopicID = [16]byte{}
		req.Topics = append(req.Topics, nowhere, zeros, b.commitRequest(v, "g", "other", 0, 10).Topics[0])
		resp := ask[*kmsg.OffsetCommitResponse](c, req)
		unknown := kafkaproto.ErrUnknownTopicOrPartition
		for _, p := range resp.Topics[0].Partitions {
			want := unknown
			if p.Partition == 0 || p.Partition == 1 {
				want = nil
			}
			mustBeCode(t, fmt.Sprintf("version %d partition %d", v, p.Partition), p.ErrorCode, want)
		}
		if v >= 10 {
			unknown = kafkaproto.ErrUnknownTopicID
		}
		mustBeCode(t, "no such topic", resp.Topics[1].Partitions[0].ErrorCode, unknown)
		mustBeCode(t, "no topic", resp.Topics[2].Partitions[0].ErrorCode, unknown)
		mustBeCode(t, "the last topic", resp.Topics[3].Partitions[0].ErrorCode, nil)
	}
	if got := b.committed(c, "g", "t", 1); got != 6 {
		t.Errorf("committed %d", got)
	}
}

func TestACommitOfNothingThatExistsAsksNoCoordinator(t *testing.T) {
	b := startFakeGroups(t, &fakeGroups{submit: func(int32, any, func(any, error)) { panic("asked") }})
	c := b.dial()
	resp := ask[*kmsg.OffsetCommitResponse](c, b.commitRequest(8, "g", "nowhere", 0, 1))
	mustBeCode(t, "commit", resp.Topics[0].Partitions[0].ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
	empty := b.commitRequest(8, "g", "t", 0, 1)
	empty.Topics = nil
	if resp := ask[*kmsg.OffsetCommitResponse](c, empty); len(resp.Topics) != 0 {
		t.Errorf("%+v", resp)
	}
}

func TestOneOffsetThatIsRefusedLeavesTheOthers(t *testing.T) {
	b := startGroups(t, withConfig("offset.metadata.max.bytes=10"))
	c := b.dial()
	req := b.commitRequest(8, "g", "t", 0, 1)
	long := kmsg.NewOffsetCommitRequestTopicPartition()
	long.Partition, long.Offset, long.Metadata = 1, 2, kmsg.StringPtr(strings.Repeat("x", 11))
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, long)
	resp := ask[*kmsg.OffsetCommitResponse](c, req)
	mustBeCode(t, "short", resp.Topics[0].Partitions[0].ErrorCode, nil)
	mustBeCode(t, "long", resp.Topics[0].Partitions[1].ErrorCode, kafkaproto.ErrOffsetMetadataTooLarge)
	if got := b.committed(c, "g", "t", 1); got != -1 {
		t.Errorf("committed %d", got)
	}
}

func TestNegativeOffsetsAreCommittedAsKafkaDoes(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	for _, offset := range []int64{-1, -5, -1 << 63, 1<<63 - 1} {
		b.mustCommit(c, "g", "t", 0, offset)
		if got := b.committed(c, "g", "t", 0); got != offset {
			t.Errorf("committed %d, got %d", offset, got)
		}
	}
}

func TestCommitsWithoutMetadataReadAsEmptyText(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	for _, metadata := range []*string{nil, kmsg.StringPtr("")} {
		req := b.commitRequest(8, "g", "t", 0, 1)
		req.Topics[0].Partitions[0].Metadata = metadata
		ask[*kmsg.OffsetCommitResponse](c, req)
		resp := ask[*kmsg.OffsetFetchResponse](c, b.fetchOffsetsRequest(8, "g", "t", 0))
		if got := resp.Groups[0].Topics[0].Partitions[0].Metadata; got == nil || *got != "" {
			t.Errorf("metadata %v", got)
		}
	}
}

func TestThePartitionThatIsNamedTwiceKeepsTheLastOffset(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	req := b.commitRequest(8, "g", "t", 0, 1)
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, b.commitRequest(8, "g", "t", 0, 2).Topics[0].Partitions[0])
	req.Topics = append(req.Topics, b.commitRequest(8, "g", "t", 0, 3).Topics[0])
	resp := ask[*kmsg.OffsetCommitResponse](c, req)
	if len(resp.Topics) != 2 || len(resp.Topics[0].Partitions) != 2 {
		t.Errorf("%+v", resp)
	}
	if got := b.committed(c, "g", "t", 0); got != 3 {
		t.Errorf("committed %d", got)
	}
}

func TestMembersCommitInTheirGenerationOnly(t *testing.T) {
	b := startGroups(t)
	c := b.dial()
	m := b.alone(c, "g")
	for _, who := range []struct {
		id         string
		generation int32
		want       *kafkaproto.Error
	}{
		{m.id, m.generation, nil},
		{m.id, m.generation - 1, kafkaproto.ErrIllegalGeneration},
		{"nobody", m.generation, kafkaproto.ErrUnknownMemberID},
		{"", -1, kafkaproto.ErrUnknownMemberID}, // a simple consumer beside members
	} {
		for v := int16(1); v <= 10; v++ {
			req := b.commitRequest(v, "g", "t", 0, 1)
			req.MemberID, req.Generation = who.id, who.generation
			code := ask[*kmsg.OffsetCommitResponse](c, req).Topics[0].Partitions[0].ErrorCode
			mustBeCode(t, fmt.Sprintf("version %d %q %d", v, who.id, who.generation), code, who.want)
		}
	}
	mustBeCode(t, "version 0", ask[*kmsg.OffsetCommitResponse](c, b.commitRequest(0, "g", "t", 0, 1)).Topics[0].Partitions[0].ErrorCode, kafkaproto.ErrUnknownMemberID)
}

func TestOffsetsOfEmptyGroupsExpireAndThoseOfLiveOnesDoNot(t *testing.T) {
	clock := env.NewFakeClock(time.UnixMilli(1_700_000_000_000))
	b := startGroups(t, withClock(clock), withConfig("offsets.retention.minutes=60", "connections.max.idle.ms=100000000", "group.max.session.timeout.ms=10000000"))
	c, members := b.dial(), b.dial()
	join := joinRequest(3, "live", "", "range")
	join.SessionTimeoutMillis = 10_000_000
	m := ask[*kmsg.JoinGroupResponse](members, join)
	ask[*kmsg.SyncGroupResponse](members, syncRequest(3, "live", m.MemberID, m.Generation, m.MemberID, "all"))
	commit := b.commitRequest(8, "live", "t", 0, 7)
	commit.MemberID, commit.Generation = m.MemberID, m.Generation
	mustBeCode(t, "commit", ask[*kmsg.OffsetCommitResponse](members, commit).Topics[0].Partitions[0].ErrorCode, nil)
	b.mustCommit(c, "simple", "t", 0, 8)
	own := b.commitRequest(2, "asked", "t", 0, 9)
	own.RetentionTimeMillis = 30 * 60_000
	mustBeCode(t, "commit", ask[*kmsg.OffsetCommitResponse](c, own).Topics[0].Partitions[0].ErrorCode, nil)
	clock.Advance(45 * time.Minute)
	eventually(t, "the offset with its own retention is gone", func() bool { return b.committed(c, "asked", "t", 0) == -1 })
	if got := b.committed(c, "simple", "t", 0); got != 8 {
		t.Errorf("simple: %d", got)
	}
	clock.Advance(45 * time.Minute)
	eventually(t, "the simple consumer's offset is gone", func() bool { return b.committed(c, "simple", "t", 0) == -1 })
	if got := b.committed(c, "live", "t", 0); got != 7 {
		t.Errorf("live: %d", got)
	}
}
