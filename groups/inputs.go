package groups

import (
	"time"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// Inputs of Machine.Step, each with the answer that its Reply carries in Value. Times and new ids are chosen by the caller.
// An answer's own Err stands where Kafka's response has fields beside the error; Reply.Err is for the rest.

// JoinGroup asks to become or stay a member of a classic group (key 11). Answered with JoinGroupAnswer, often by a later
// step: that of the last member that joins, or of a timer.
type JoinGroup struct {
	Group             string
	MemberID          string // empty: a new member
	InstanceID        *string
	ClientID          string
	ClientHost        string // "/1.2.3.4", as Kafka has it
	NewMemberID       string // used if the member is new and gets an id: client id (or instance id), "-", a random UUID
	SessionTimeout    time.Duration
	RebalanceTimeout  time.Duration // version 0 has none: the session timeout
	ProtocolType      string
	Protocols         []Protocol
	Reason            string
	RequireKnownID    bool // from version 4 on: a dynamic member first gets MEMBER_ID_REQUIRED with its id
	CanSkipAssignment bool // from version 9 on: a static leader that rejoins may be told to skip the assignment (KIP-814)
}

// Protocol is one assignor with what the member says to it.
type Protocol struct {
	Name     string
	Metadata []byte
}

// JoinGroupAnswer answers JoinGroup. With Err set, MemberID is what Kafka would return and Generation is -1.
type JoinGroupAnswer struct {
	Err            error
	Generation     int32
	ProtocolType   *string
	Protocol       *string // nil with errors; the broker writes it as an empty string where nil can't be
	Leader         string
	SkipAssignment bool
	MemberID       string
	Members        []JoinedMember // for the leader only
}

// JoinedMember is what the leader is told of a member.
type JoinedMember struct {
	MemberID   string
	InstanceID *string
	Metadata   []byte
}

// SyncGroup brings the leader's assignments or asks for one's own (key 14). Answered with SyncGroupAnswer.
type SyncGroup struct {
	Group        string
	MemberID     string
	InstanceID   *string
	Generation   int32
	ProtocolType *string // from version 5 on; nil: not checked
	Protocol     *string
	Assignments  []Assignment // the leader's
}

// Assignment is what the leader decided for one member.
type Assignment struct {
	MemberID string
	Data     []byte
}

// SyncGroupAnswer answers SyncGroup.
type SyncGroupAnswer struct {
	Err          error
	ProtocolType *string
	Protocol     *string
	Assignment   []byte
}

// Heartbeat keeps a member alive (key 12). Answered with nil, or Reply.Err.
type Heartbeat struct {
	Group      string
	MemberID   string
	InstanceID *string
	Generation int32
}

// LeaveGroup takes members out (key 13). Answered with []LeaveAnswer, one for each of Members in order, or Reply.Err.
type LeaveGroup struct {
	Group   string
	Members []LeavingMember
}

// LeavingMember names a member by id, or a static one by instance id.
type LeavingMember struct {
	MemberID   string
	InstanceID *string
	Reason     string
}

// LeaveAnswer answers for one member of LeaveGroup.
type LeaveAnswer struct {
	MemberID   string
	InstanceID *string
	Err        error
}

// Writes tells inputs that have records written whenever they succeed.
func Writes(input any) bool {
	switch input.(type) {
	case OffsetCommit, TxnOffsetCommit, DeleteOffsets, DeleteGroup:
		return true
	}
	return false
}

// OffsetCommit stores offsets (key 8). Answered with []OffsetCommitAnswer, one for each of Offsets in order, or Reply.Err,
// which then holds for all. Whether topics and partitions exist was asked before.
type OffsetCommit struct {
	Group      string
	MemberID   string // empty with Generation -1: a simple consumer, allowed while the group has no members
	InstanceID *string
	Generation int32
	Retention  time.Duration // versions 2 to 4; negative: offsets.retention.minutes
	Offsets    []CommitOffset
	// KnowsGroupIDNotFound is set from version 9 on: the error where a member of a group that isn't there commits, else
	// ILLEGAL_GENERATION.
	KnowsGroupIDNotFound bool
}

// CommitOffset is one offset to be stored.
type CommitOffset struct {
	Topic       string
	TopicID     kafkaproto.TopicID // zero where it isn't known
	Partition   kafkaproto.PartitionID
	Offset      kafkaproto.Offset
	LeaderEpoch kafkaproto.LeaderEpoch // -1: none
	Metadata    *string
	Timestamp   *kafkaproto.Timestamp // version 1 gives its own; nil: now
}

// OffsetCommitAnswer answers for one row of OffsetCommit.
type OffsetCommitAnswer struct {
	Topic     string
	Partition kafkaproto.PartitionID
	Err       error
}

// TxnOffsetCommit stores offsets that count when the transaction of Producer commits (key 28). Answered like OffsetCommit.
// Result.Producer is set with its records.
type TxnOffsetCommit struct {
	Group      string
	Producer   machine.Producer
	MemberID   string // empty with Generation -1: not checked (versions before 3 have none)
	InstanceID *string
	Generation int32
	Offsets    []CommitOffset
}

// OffsetFetch asks for committed offsets of one group (key 9). Answered with OffsetFetchAnswer, or Reply.Err.
type OffsetFetch struct {
	Group         string
	MemberID      *string // of KIP-848; nil or empty: not checked
	MemberEpoch   int32
	All           bool // all offsets that there are; Topics is then ignored
	Topics        []OffsetFetchTopic
	RequireStable bool // offsets of open transactions: UNSTABLE_OFFSET_COMMIT (KIP-447)
}

// OffsetFetchTopic names partitions of a topic.
type OffsetFetchTopic struct {
	Topic      string
	TopicID    kafkaproto.TopicID
	Partitions []kafkaproto.PartitionID
}

// OffsetFetchAnswer answers OffsetFetch: the topics in the order of the request, with All in any order.
type OffsetFetchAnswer struct {
	Topics []FetchedTopic
}

// FetchedTopic is a topic with its offsets.
type FetchedTopic struct {
	Topic      string
	TopicID    kafkaproto.TopicID
	Partitions []FetchedOffset
}

// FetchedOffset is a committed offset; Offset and LeaderEpoch are -1 and Metadata empty where there is none.
type FetchedOffset struct {
	Partition   kafkaproto.PartitionID
	Offset      kafkaproto.Offset
	LeaderEpoch kafkaproto.LeaderEpoch
	Metadata    *string
	Err         error
}

// DeleteOffsets removes committed offsets (key 47). Answered with []OffsetCommitAnswer, one for each row, or Reply.Err.
// A topic that a member of a live group is subscribed to is GROUP_SUBSCRIBED_TO_TOPIC.
type DeleteOffsets struct {
	Group  string
	Topics []OffsetFetchTopic
}

// DeleteGroup deletes a group with its offsets (key 42). Answered with nil, or Reply.Err: NON_EMPTY_GROUP,
// GROUP_ID_NOT_FOUND.
type DeleteGroup struct {
	Group string
}

// DescribeGroup describes a classic group (key 15). Answered with DescribedGroup, or Reply.Err. A group that does not
// exist is in state Dead, without error; the broker makes it GROUP_ID_NOT_FOUND from version 6 on.
type DescribeGroup struct {
	Group string
}

// DescribedGroup answers DescribeGroup.
type DescribedGroup struct {
	State        string // Empty, PreparingRebalance, CompletingRebalance, Stable, Dead
	ProtocolType string
	Protocol     string // only while Stable, else empty
	Members      []DescribedMember
}

// DescribedMember is a member with its metadata of the chosen protocol, which is empty unless the group is Stable.
type DescribedMember struct {
	MemberID   string
	InstanceID *string
	ClientID   string
	ClientHost string
	Metadata   []byte
	Assignment []byte
}

// ListGroups lists the groups of this machine (key 16). Empty filters let all through; they are compared without regard to
// case. Answered with []ListedGroup.
type ListGroups struct {
	States []string
	Types  []string // "classic", "consumer", "share", "streams"
}

// ListedGroup is a row of ListGroups.
type ListedGroup struct {
	Group        string
	ProtocolType string
	State        string
	Type         string
}

// TopicsDeleted tells that topics are gone: their committed offsets go too. Not answered.
// An offset whose topic id is known and is another one than that in IDs stays: the topic was made anew.
type TopicsDeleted struct {
	Topics []string
	IDs    []kafkaproto.TopicID // of Topics, in their order; may be missing
}

// TimerFired is the input that a machine.Timer asked for. Not answered.
type TimerFired struct {
	Key string
}

// Options are the properties of coordinators, with Kafka's names.
type Options struct {
	InitialRebalanceDelay time.Duration // group.initial.rebalance.delay.ms
	MinSessionTimeout     time.Duration // group.min.session.timeout.ms
	MaxSessionTimeout     time.Duration // group.max.session.timeout.ms
	MaxSize               int           // group.max.size
	MaxMetadataBytes      int           // offset.metadata.max.bytes
	OffsetRetention       time.Duration // offsets.retention.minutes
	RetentionCheck        time.Duration // offsets.retention.check.interval.ms
	MaxBatchBytes         int           // largest batch that the log takes; 0: a little less than Kafka's default
}
