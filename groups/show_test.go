package groups

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// subscription is what a consumer says to an assignor: version 0, topics, user data.
func subscription(topics []string, userData string) []byte {
	b := kbin.AppendInt16(nil, 0)
	b = kbin.AppendArrayLen(b, len(topics))
	for _, topic := range topics {
		b = kbin.AppendString(b, topic)
	}
	return kbin.AppendBytes(b, []byte(userData))
}

// showSubscription prints its topics and user data.
func showSubscription(b []byte) string {
	topics := map[string]struct{}{}
	if !addSubscription(topics, b) {
		return fmt.Sprintf("%q", b)
	}
	out := strings.Join(sortedKeys(topics), "+")
	r := kbin.Reader{Src: b}
	r.Int16()
	for n := r.ArrayLen(); n > 0; n-- {
		_ = r.String()
	}
	if data := r.NullableBytes(); len(data) > 0 {
		out += " " + string(data)
	}
	return out
}

func showInstance(id *string) string {
	if id == nil {
		return ""
	}
	return "@" + *id
}

func showString(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

// showRecord decodes by kmsg's types, not by the code under test.
func showRecord(r machine.Record) string {
	if r.Key[1] == groupKeyVersion {
		return showGroupRecord(r)
	}
	var k kmsg.OffsetCommitKey
	must(k.ReadFrom(r.Key))
	out := fmt.Sprintf("offset %s %s/%d", k.Group, k.Topic, k.Partition)
	if r.Value == nil {
		return out + " gone"
	}
	var v kmsg.OffsetCommitValue
	must(v.ReadFrom(r.Value))
	out += fmt.Sprintf(" = %d v%d", v.Offset, v.Version)
	if v.Version >= 3 {
		out += fmt.Sprintf(" epoch=%d", v.LeaderEpoch)
	}
	if v.Metadata != "" {
		out += fmt.Sprintf(" metadata=%q", v.Metadata)
	}
	out += " at=" + showTime(v.CommitTimestamp)
	if v.Version == 1 {
		out += " expires=" + showTime(v.ExpireTimestamp)
	}
	if v.TopicID != [16]byte{} {
		out += fmt.Sprintf(" topic-id=%d", v.TopicID[0])
	}
	return out
}

func showGroupRecord(r machine.Record) string {
	var k kmsg.GroupMetadataKey
	must(k.ReadFrom(r.Key))
	if r.Value == nil {
		return fmt.Sprintf("group %s gone", k.Group)
	}
	var v kmsg.GroupMetadataValue
	must(v.ReadFrom(r.Value))
	out := fmt.Sprintf("group %s v%d type=%s generation=%d protocol=%s leader=%s at=%s", k.Group, v.Version, v.ProtocolType,
		v.Generation, showString(v.Protocol), showString(v.Leader), showTime(v.CurrentStateTimestamp))
	for _, mb := range v.Members {
		out += fmt.Sprintf("\n  %s%s client=%s%s session=%d rebalance=%d says=(%s) assigned=%q", mb.MemberID, showInstance(mb.InstanceID),
			mb.ClientID, mb.ClientHost, mb.SessionTimeoutMillis, mb.RebalanceTimeoutMillis, showSubscription(mb.Subscription), mb.Assignment)
	}
	return out
}

// showTime prints milliseconds from the start of the script.
func showTime(ms int64) string {
	if ms < scriptStart.UnixMilli()/2 {
		return fmt.Sprint(ms)
	}
	return fmt.Sprintf("%+dms", ms-scriptStart.UnixMilli())
}

func showErr(err error) string {
	if err == nil {
		return "ok"
	}
	if e := kafkaproto.ErrorForCode(kafkaproto.Code(err)); e != nil {
		return e.Name
	}
	return err.Error()
}

func showReply(r machine.Reply) string {
	if r.Err != nil {
		return showErr(r.Err)
	}
	switch v := r.Value.(type) {
	case JoinGroupAnswer:
		return showJoin(v)
	case SyncGroupAnswer:
		if v.Err != nil {
			return showErr(v.Err)
		}
		return fmt.Sprintf("%s %s %q", showString(v.ProtocolType), showString(v.Protocol), v.Assignment)
	case []LeaveAnswer:
		var out []string
		for _, a := range v {
			out = append(out, a.MemberID+showInstance(a.InstanceID)+" "+showErr(a.Err))
		}
		return strings.Join(out, ", ")
	case []OffsetCommitAnswer:
		var out []string
		for _, a := range v {
			out = append(out, fmt.Sprintf("%s/%d %s", a.Topic, a.Partition, showErr(a.Err)))
		}
		return strings.Join(out, ", ")
	case OffsetFetchAnswer:
		return showFetched(v)
	case []ListedGroup:
		var out []string
		for _, g := range v {
			out = append(out, fmt.Sprintf("%s(%s %s %s)", g.Group, g.ProtocolType, g.State, g.Type))
		}
		return strings.Join(out, ", ")
	case DescribedGroup:
		out := fmt.Sprintf("%s type=%s protocol=%s", v.State, v.ProtocolType, v.Protocol)
		for _, mb := range v.Members {
			out += fmt.Sprintf("\n  %s%s client=%s%s says=(%s) assigned=%q", mb.MemberID, showInstance(mb.InstanceID), mb.ClientID,
				mb.ClientHost, showSubscription(mb.Metadata), mb.Assignment)
		}
		return out
	case nil:
		return "ok"
	}
	return fmt.Sprintf("%+v", r.Value)
}

func showJoin(a JoinGroupAnswer) string {
	if a.Err != nil {
		return fmt.Sprintf("%s member=%q", showErr(a.Err), a.MemberID)
	}
	out := fmt.Sprintf("member=%s generation=%d type=%s protocol=%s leader=%s", a.MemberID, a.Generation, showString(a.ProtocolType),
		showString(a.Protocol), a.Leader)
	if a.SkipAssignment {
		out += " skip-assignment"
	}
	for _, mb := range a.Members {
		out += fmt.Sprintf("\n  %s%s says=(%s)", mb.MemberID, showInstance(mb.InstanceID), showSubscription(mb.Metadata))
	}
	return out
}

func showFetched(a OffsetFetchAnswer) string {
	var out []string
	for _, t := range a.Topics {
		for _, p := range t.Partitions {
			row := fmt.Sprintf("%s/%d=%d", t.Topic, p.Partition, p.Offset)
			if p.LeaderEpoch >= 0 {
				row += fmt.Sprintf(" epoch=%d", p.LeaderEpoch)
			}
			if p.Metadata == nil || *p.Metadata != "" {
				row += fmt.Sprintf(" metadata=%s", showString(p.Metadata))
			}
			if p.Err != nil {
				row += " " + showErr(p.Err)
			}
			out = append(out, row)
		}
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}
