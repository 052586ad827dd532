package kafkaproto

import (
	"errors"
	"fmt"
)

// Error is one of Kafka's error codes. The package's sentinels are the only values of it: other packages wrap them
// (With, or fmt.Errorf with %w), and Code finds them again.
type Error struct {
	Num       int16  // the code on the wire
	Name      string // Kafka's name for it
	Retriable bool   // whether stock clients try again
	Text      string // what it means, for logs
}

func (e *Error) Error() string { return e.Name + ": " + e.Text }

// With gives the error a message of its own, which Message finds for the client. errors.Is holds for e and for whatever
// format wraps with %w.
func (e *Error) With(format string, args ...any) error {
	return &detailed{kind: e, detail: fmt.Errorf(format, args...)}
}

type detailed struct {
	kind   *Error
	detail error
}

func (d *detailed) Error() string   { return d.kind.Name + ": " + d.detail.Error() }
func (d *detailed) Unwrap() []error { return []error{d.kind, d.detail} }

// Code is the one mapper from errors to Kafka's codes: 0 for nil, the code of the Error that err is or wraps, else -1
// (UNKNOWN_SERVER_ERROR).
func Code(err error) int16 {
	if err == nil {
		return 0
	}
	if e, ok := err.(*Error); ok {
		return e.Num
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Num
	}
	return ErrUnknownServerError.Num
}

// Message is the text for an error_message field: nil for no error, for a plain sentinel, and for errors that carry no
// Kafka code, whose text is for the log and not for clients.
func Message(err error) *string {
	var e *Error
	if err == nil || !errors.As(err, &e) || err == error(e) {
		return nil
	}
	text := err.Error()
	var d *detailed
	if errors.As(err, &d) {
		text = d.detail.Error()
	}
	return &text
}

// ErrorForCode is the sentinel with that code, nil for 0, and ErrUnknownServerError for a code that this package does not know.
func ErrorForCode(code int16) *Error {
	if code == 0 {
		return nil
	}
	if code < 0 || int(code) > len(errorsByCode) {
		return ErrUnknownServerError
	}
	return errorsByCode[code-1]
}

// Kafka's errors as of 4.3.1, in the order of their codes.
var (
	ErrUnknownServerError                 = &Error{-1, "UNKNOWN_SERVER_ERROR", false, "the broker met an error it did not expect"}
	ErrOffsetOutOfRange                   = &Error{1, "OFFSET_OUT_OF_RANGE", false, "the offset is outside the log"}
	ErrCorruptMessage                     = &Error{2, "CORRUPT_MESSAGE", true, "a record batch fails its checksum or is malformed"}
	ErrUnknownTopicOrPartition            = &Error{3, "UNKNOWN_TOPIC_OR_PARTITION", true, "this broker does not have that partition"}
	ErrInvalidFetchSize                   = &Error{4, "INVALID_FETCH_SIZE", false, "the fetch size is not valid"}
	ErrLeaderNotAvailable                 = &Error{5, "LEADER_NOT_AVAILABLE", true, "the partition has no leader right now"}
	ErrNotLeaderOrFollower                = &Error{6, "NOT_LEADER_OR_FOLLOWER", true, "this broker is not the leader, or not a replica, of the partition"}
	ErrRequestTimedOut                    = &Error{7, "REQUEST_TIMED_OUT", true, "the request took longer than its timeout"}
	ErrBrokerNotAvailable                 = &Error{8, "BROKER_NOT_AVAILABLE", false, "the broker is not available"}
	ErrReplicaNotAvailable                = &Error{9, "REPLICA_NOT_AVAILABLE", true, "the replica is not available"}
	ErrMessageTooLarge                    = &Error{10, "MESSAGE_TOO_LARGE", false, "the batch is larger than the topic's max.message.bytes"}
	ErrStaleControllerEpoch               = &Error{11, "STALE_CONTROLLER_EPOCH", false, "the controller epoch is old"}
	ErrOffsetMetadataTooLarge             = &Error{12, "OFFSET_METADATA_TOO_LARGE", false, "the metadata of the committed offset is too long"}
	ErrNetworkException                   = &Error{13, "NETWORK_EXCEPTION", true, "the connection broke before an answer came"}
	ErrCoordinatorLoadInProgress          = &Error{14, "COORDINATOR_LOAD_IN_PROGRESS", true, "the coordinator is still loading"}
	ErrCoordinatorNotAvailable            = &Error{15, "COORDINATOR_NOT_AVAILABLE", true, "there is no coordinator yet"}
	ErrNotCoordinator                     = &Error{16, "NOT_COORDINATOR", true, "this broker is not the coordinator"}
	ErrInvalidTopicException              = &Error{17, "INVALID_TOPIC_EXCEPTION", false, "the topic name is not valid, or the topic is internal"}
	ErrRecordListTooLarge                 = &Error{18, "RECORD_LIST_TOO_LARGE", false, "the batches are larger than a segment may be"}
	ErrNotEnoughReplicas                  = &Error{19, "NOT_ENOUGH_REPLICAS", true, "fewer replicas are in sync than min.insync.replicas"}
	ErrNotEnoughReplicasAfterAppend       = &Error{20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", true, "written, but fewer replicas were in sync than min.insync.replicas"}
	ErrInvalidRequiredAcks                = &Error{21, "INVALID_REQUIRED_ACKS", false, "acks must be -1, 0 or 1"}
	ErrIllegalGeneration                  = &Error{22, "ILLEGAL_GENERATION", false, "the generation is not the group's current one"}
	ErrInconsistentGroupProtocol          = &Error{23, "INCONSISTENT_GROUP_PROTOCOL", false, "the member's protocols do not fit the group's"}
	ErrInvalidGroupID                     = &Error{24, "INVALID_GROUP_ID", false, "the group id is not valid"}
	ErrUnknownMemberID                    = &Error{25, "UNKNOWN_MEMBER_ID", false, "the group does not know this member"}
	ErrInvalidSessionTimeout              = &Error{26, "INVALID_SESSION_TIMEOUT", false, "the session timeout is outside the broker's limits"}
	ErrRebalanceInProgress                = &Error{27, "REBALANCE_IN_PROGRESS", false, "the group is rebalancing, join again"}
	ErrInvalidCommitOffsetSize            = &Error{28, "INVALID_COMMIT_OFFSET_SIZE", false, "the offset commit is too large"}
	ErrTopicAuthorizationFailed           = &Error{29, "TOPIC_AUTHORIZATION_FAILED", false, "not authorized for the topic"}
	ErrGroupAuthorizationFailed           = &Error{30, "GROUP_AUTHORIZATION_FAILED", false, "not authorized for the group"}
	ErrClusterAuthorizationFailed         = &Error{31, "CLUSTER_AUTHORIZATION_FAILED", false, "not authorized for the cluster"}
	ErrInvalidTimestamp                   = &Error{32, "INVALID_TIMESTAMP", false, "a record's timestamp is outside the allowed window"}
	ErrUnsupportedSaslMechanism           = &Error{33, "UNSUPPORTED_SASL_MECHANISM", false, "the SASL mechanism is not enabled"}
	ErrIllegalSaslState                   = &Error{34, "ILLEGAL_SASL_STATE", false, "the request does not fit the state of the SASL handshake"}
	ErrUnsupportedVersion                 = &Error{35, "UNSUPPORTED_VERSION", false, "this version of the API is not served"}
	ErrTopicAlreadyExists                 = &Error{36, "TOPIC_ALREADY_EXISTS", false, "a topic of that name exists"}
	ErrInvalidPartitions                  = &Error{37, "INVALID_PARTITIONS", false, "the number of partitions is not valid"}
	ErrInvalidReplicationFactor           = &Error{38, "INVALID_REPLICATION_FACTOR", false, "the replication factor is not valid or there are too few brokers"}
	ErrInvalidReplicaAssignment           = &Error{39, "INVALID_REPLICA_ASSIGNMENT", false, "the replica assignment is not valid"}
	ErrInvalidConfig                      = &Error{40, "INVALID_CONFIG", false, "the configuration is not valid"}
	ErrNotController                      = &Error{41, "NOT_CONTROLLER", true, "this broker is not the active controller"}
	ErrInvalidRequest                     = &Error{42, "INVALID_REQUEST", false, "the request contradicts itself or the protocol"}
	ErrUnsupportedForMessageFormat        = &Error{43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", false, "the message format does not support the request"}
	ErrPolicyViolation                    = &Error{44, "POLICY_VIOLATION", false, "the request breaks a policy"}
	ErrOutOfOrderSequenceNumber           = &Error{45, "OUT_OF_ORDER_SEQUENCE_NUMBER", false, "the sequence number does not follow the last one"}
	ErrDuplicateSequenceNumber            = &Error{46, "DUPLICATE_SEQUENCE_NUMBER", false, "the sequence number was seen before"}
	ErrInvalidProducerEpoch               = &Error{47, "INVALID_PRODUCER_EPOCH", false, "the producer epoch is older than the current one"}
	ErrInvalidTxnState                    = &Error{48, "INVALID_TXN_STATE", false, "the transaction is not in a state that allows this"}
	ErrInvalidProducerIDMapping           = &Error{49, "INVALID_PRODUCER_ID_MAPPING", false, "the producer id does not belong to the transactional id"}
	ErrInvalidTransactionTimeout          = &Error{50, "INVALID_TRANSACTION_TIMEOUT", false, "the transaction timeout is larger than the broker allows"}
	ErrConcurrentTransactions             = &Error{51, "CONCURRENT_TRANSACTIONS", true, "another transaction of this id is still being completed"}
	ErrTransactionCoordinatorFenced       = &Error{52, "TRANSACTION_COORDINATOR_FENCED", false, "the transaction coordinator is fenced"}
	ErrTransactionalIDAuthorizationFailed = &Error{53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", false, "not authorized for the transactional id"}
	ErrSecurityDisabled                   = &Error{54, "SECURITY_DISABLED", false, "security features are not enabled"}
	ErrOperationNotAttempted              = &Error{55, "OPERATION_NOT_ATTEMPTED", false, "not attempted, because something else in the request failed"}
	ErrKafkaStorageError                  = &Error{56, "KAFKA_STORAGE_ERROR", true, "the log directory failed or is full"}
	ErrLogDirNotFound                     = &Error{57, "LOG_DIR_NOT_FOUND", false, "there is no such log directory"}
	ErrSaslAuthenticationFailed           = &Error{58, "SASL_AUTHENTICATION_FAILED", false, "authentication failed"}
	ErrUnknownProducerID                  = &Error{59, "UNKNOWN_PRODUCER_ID", false, "the producer id is not known, its state may have expired"}
	ErrReassignmentInProgress             = &Error{60, "REASSIGNMENT_IN_PROGRESS", false, "a reassignment of the partition is in progress"}
	ErrDelegationTokenAuthDisabled        = &Error{61, "DELEGATION_TOKEN_AUTH_DISABLED", false, "delegation tokens are not enabled"}
	ErrDelegationTokenNotFound            = &Error{62, "DELEGATION_TOKEN_NOT_FOUND", false, "there is no such delegation token"}
	ErrDelegationTokenOwnerMismatch       = &Error{63, "DELEGATION_TOKEN_OWNER_MISMATCH", false, "the delegation token belongs to someone else"}
	ErrDelegationTokenRequestNotAllowed   = &Error{64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", false, "delegation tokens can't be asked for on this connection"}
	ErrDelegationTokenAuthorizationFailed = &Error{65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", false, "not authorized for the delegation token"}
	ErrDelegationTokenExpired             = &Error{66, "DELEGATION_TOKEN_EXPIRED", false, "the delegation token has expired"}
	ErrInvalidPrincipalType               = &Error{67, "INVALID_PRINCIPAL_TYPE", false, "the principal type is not supported"}
	ErrNonEmptyGroup                      = &Error{68, "NON_EMPTY_GROUP", false, "the group has members"}
	ErrGroupIDNotFound                    = &Error{69, "GROUP_ID_NOT_FOUND", false, "there is no such group"}
	ErrFetchSessionIDNotFound             = &Error{70, "FETCH_SESSION_ID_NOT_FOUND", true, "there is no such fetch session"}
	ErrInvalidFetchSessionEpoch           = &Error{71, "INVALID_FETCH_SESSION_EPOCH", true, "the epoch of the fetch session is not the expected one"}
	ErrListenerNotFound                   = &Error{72, "LISTENER_NOT_FOUND", true, "no listener of that name leads to the leader"}
	ErrTopicDeletionDisabled              = &Error{73, "TOPIC_DELETION_DISABLED", false, "deleting topics is disabled"}
	ErrFencedLeaderEpoch                  = &Error{74, "FENCED_LEADER_EPOCH", true, "the leader epoch in the request is older than the broker's"}
	ErrUnknownLeaderEpoch                 = &Error{75, "UNKNOWN_LEADER_EPOCH", true, "the leader epoch in the request is newer than the broker's"}
	ErrUnsupportedCompressionType         = &Error{76, "UNSUPPORTED_COMPRESSION_TYPE", false, "the compression type is not supported by this version of the request"}
	ErrStaleBrokerEpoch                   = &Error{77, "STALE_BROKER_EPOCH", false, "the broker epoch is old"}
	ErrOffsetNotAvailable                 = &Error{78, "OFFSET_NOT_AVAILABLE", true, "the high watermark has not yet reached the leader's start of epoch"}
	ErrMemberIDRequired                   = &Error{79, "MEMBER_ID_REQUIRED", false, "join again with the member id given in the response"}
	ErrPreferredLeaderNotAvailable        = &Error{80, "PREFERRED_LEADER_NOT_AVAILABLE", true, "the preferred leader is not available"}
	ErrGroupMaxSizeReached                = &Error{81, "GROUP_MAX_SIZE_REACHED", false, "the group is full"}
	ErrFencedInstanceID                   = &Error{82, "FENCED_INSTANCE_ID", false, "another member uses this group instance id"}
	ErrEligibleLeadersNotAvailable        = &Error{83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", true, "no replica that may lead is available"}
	ErrElectionNotNeeded                  = &Error{84, "ELECTION_NOT_NEEDED", true, "the partition has the right leader already"}
	ErrNoReassignmentInProgress           = &Error{85, "NO_REASSIGNMENT_IN_PROGRESS", false, "no reassignment of the partition is in progress"}
	ErrGroupSubscribedToTopic             = &Error{86, "GROUP_SUBSCRIBED_TO_TOPIC", false, "the group is subscribed to the topic"}
	ErrInvalidRecord                      = &Error{87, "INVALID_RECORD", false, "a record was refused"}
	ErrUnstableOffsetCommit               = &Error{88, "UNSTABLE_OFFSET_COMMIT", true, "some offsets belong to a transaction that is still open"}
	ErrThrottlingQuotaExceeded            = &Error{89, "THROTTLING_QUOTA_EXCEEDED", true, "the quota is used up, try later"}
	ErrProducerFenced                     = &Error{90, "PRODUCER_FENCED", false, "a newer producer with the same transactional id exists"}
	ErrResourceNotFound                   = &Error{91, "RESOURCE_NOT_FOUND", false, "there is no such resource"}
	ErrDuplicateResource                  = &Error{92, "DUPLICATE_RESOURCE", false, "the resource is named more than once"}
	ErrUnacceptableCredential             = &Error{93, "UNACCEPTABLE_CREDENTIAL", false, "the credential is not acceptable"}
	ErrInconsistentVoterSet               = &Error{94, "INCONSISTENT_VOTER_SET", false, "the sets of voters differ"}
	ErrInvalidUpdateVersion               = &Error{95, "INVALID_UPDATE_VERSION", false, "the version does not follow the current one"}
	ErrFeatureUpdateFailed                = &Error{96, "FEATURE_UPDATE_FAILED", false, "the feature can't be set to that version"}
	ErrPrincipalDeserializationFailure    = &Error{97, "PRINCIPAL_DESERIALIZATION_FAILURE", false, "the principal in the request can't be read"}
	ErrSnapshotNotFound                   = &Error{98, "SNAPSHOT_NOT_FOUND", false, "there is no such snapshot"}
	ErrPositionOutOfRange                 = &Error{99, "POSITION_OUT_OF_RANGE", false, "the position is outside the snapshot"}
	ErrUnknownTopicID                     = &Error{100, "UNKNOWN_TOPIC_ID", true, "no topic has this id"}
	ErrDuplicateBrokerRegistration        = &Error{101, "DUPLICATE_BROKER_REGISTRATION", false, "a broker with this id is registered already"}
	ErrBrokerIDNotRegistered              = &Error{102, "BROKER_ID_NOT_REGISTERED", false, "no broker with this id is registered"}
	ErrInconsistentTopicID                = &Error{103, "INCONSISTENT_TOPIC_ID", true, "the topic id differs from the log's"}
	ErrInconsistentClusterID              = &Error{104, "INCONSISTENT_CLUSTER_ID", false, "the request is for another cluster"}
	ErrTransactionalIDNotFound            = &Error{105, "TRANSACTIONAL_ID_NOT_FOUND", false, "there is no such transactional id"}
	ErrFetchSessionTopicIDError           = &Error{106, "FETCH_SESSION_TOPIC_ID_ERROR", true, "the session mixes topic ids and names"}
	ErrIneligibleReplica                  = &Error{107, "INELIGIBLE_REPLICA", false, "the replica may not join the ISR"}
	ErrNewLeaderElected                   = &Error{108, "NEW_LEADER_ELECTED", false, "the update was applied and a new leader was elected"}
	ErrOffsetMovedToTieredStorage         = &Error{109, "OFFSET_MOVED_TO_TIERED_STORAGE", false, "the offset is in tiered storage"}
	ErrFencedMemberEpoch                  = &Error{110, "FENCED_MEMBER_EPOCH", false, "the member epoch is fenced, join again"}
	ErrUnreleasedInstanceID               = &Error{111, "UNRELEASED_INSTANCE_ID", false, "the group instance id is still in use by another member"}
	ErrUnsupportedAssignor                = &Error{112, "UNSUPPORTED_ASSIGNOR", false, "the assignor is not supported"}
	ErrStaleMemberEpoch                   = &Error{113, "STALE_MEMBER_EPOCH", false, "the member epoch is old, ask again with the current one"}
	ErrMismatchedEndpointType             = &Error{114, "MISMATCHED_ENDPOINT_TYPE", false, "the request came to the wrong type of endpoint"}
	ErrUnsupportedEndpointType            = &Error{115, "UNSUPPORTED_ENDPOINT_TYPE", false, "the endpoint type is not known"}
	ErrUnknownControllerID                = &Error{116, "UNKNOWN_CONTROLLER_ID", false, "no controller has this id"}
	ErrUnknownSubscriptionID              = &Error{117, "UNKNOWN_SUBSCRIPTION_ID", false, "the telemetry subscription is old"}
	ErrTelemetryTooLarge                  = &Error{118, "TELEMETRY_TOO_LARGE", false, "the telemetry push is too large"}
	ErrInvalidRegistration                = &Error{119, "INVALID_REGISTRATION", false, "the registration is not valid"}
	ErrTransactionAbortable               = &Error{120, "TRANSACTION_ABORTABLE", false, "the transaction met an error and can only be aborted"}
	ErrInvalidRecordState                 = &Error{121, "INVALID_RECORD_STATE", false, "the record is not in a state that allows this"}
	ErrShareSessionNotFound               = &Error{122, "SHARE_SESSION_NOT_FOUND", true, "there is no such share session"}
	ErrInvalidShareSessionEpoch           = &Error{123, "INVALID_SHARE_SESSION_EPOCH", true, "the epoch of the share session is not the expected one"}
	ErrFencedStateEpoch                   = &Error{124, "FENCED_STATE_EPOCH", false, "the state epoch is old"}
	ErrInvalidVoterKey                    = &Error{125, "INVALID_VOTER_KEY", false, "the voter key is not the receiver's"}
	ErrDuplicateVoter                     = &Error{126, "DUPLICATE_VOTER", false, "the voter is in the set already"}
	ErrVoterNotFound                      = &Error{127, "VOTER_NOT_FOUND", false, "the voter is not in the set"}
	ErrInvalidRegularExpression           = &Error{128, "INVALID_REGULAR_EXPRESSION", false, "the regular expression is not valid"}
	ErrRebootstrapRequired                = &Error{129, "REBOOTSTRAP_REQUIRED", false, "the client's metadata is too old, bootstrap again"}
	ErrStreamsInvalidTopology             = &Error{130, "STREAMS_INVALID_TOPOLOGY", false, "the topology is not valid"}
	ErrStreamsInvalidTopologyEpoch        = &Error{131, "STREAMS_INVALID_TOPOLOGY_EPOCH", false, "the topology epoch is not valid"}
	ErrStreamsTopologyFenced              = &Error{132, "STREAMS_TOPOLOGY_FENCED", false, "the topology epoch is old"}
	ErrShareSessionLimitReached           = &Error{133, "SHARE_SESSION_LIMIT_REACHED", true, "there are too many share sessions"}
)

// errorsByCode holds code n at n-1: Kafka numbers its errors without gaps.
var errorsByCode = [...]*Error{
	ErrOffsetOutOfRange, ErrCorruptMessage, ErrUnknownTopicOrPartition, ErrInvalidFetchSize,
	ErrLeaderNotAvailable, ErrNotLeaderOrFollower, ErrRequestTimedOut, ErrBrokerNotAvailable,
	ErrReplicaNotAvailable, ErrMessageTooLarge, ErrStaleControllerEpoch, ErrOffsetMetadataTooLarge,
	ErrNetworkException, ErrCoordinatorLoadInProgress, ErrCoordinatorNotAvailable, ErrNotCoordinator,
	ErrInvalidTopicException, ErrRecordListTooLarge, ErrNotEnoughReplicas, ErrNotEnoughReplicasAfterAppend,
	ErrInvalidRequiredAcks, ErrIllegalGeneration, ErrInconsistentGroupProtocol, ErrInvalidGroupID,
	ErrUnknownMemberID, ErrInvalidSessionTimeout, ErrRebalanceInProgress, ErrInvalidCommitOffsetSize,
	ErrTopicAuthorizationFailed, ErrGroupAuthorizationFailed, ErrClusterAuthorizationFailed, ErrInvalidTimestamp,
	ErrUnsupportedSaslMechanism, ErrIllegalSaslState, ErrUnsupportedVersion, ErrTopicAlreadyExists,
	ErrInvalidPartitions, ErrInvalidReplicationFactor, ErrInvalidReplicaAssignment, ErrInvalidConfig,
	ErrNotController, ErrInvalidRequest, ErrUnsupportedForMessageFormat, ErrPolicyViolation,
	ErrOutOfOrderSequenceNumber, ErrDuplicateSequenceNumber, ErrInvalidProducerEpoch, ErrInvalidTxnState,
	ErrInvalidProducerIDMapping, ErrInvalidTransactionTimeout, ErrConcurrentTransactions, ErrTransactionCoordinatorFenced,
	ErrTransactionalIDAuthorizationFailed, ErrSecurityDisabled, ErrOperationNotAttempted, ErrKafkaStorageError,
	ErrLogDirNotFound, ErrSaslAuthenticationFailed, ErrUnknownProducerID, ErrReassignmentInProgress,
	ErrDelegationTokenAuthDisabled, ErrDelegationTokenNotFound, ErrDelegationTokenOwnerMismatch, ErrDelegationTokenRequestNotAllowed,
	ErrDelegationTokenAuthorizationFailed, ErrDelegationTokenExpired, ErrInvalidPrincipalType, ErrNonEmptyGroup,
	ErrGroupIDNotFound, ErrFetchSessionIDNotFound, ErrInvalidFetchSessionEpoch, ErrListenerNotFound,
	ErrTopicDeletionDisabled, ErrFencedLeaderEpoch, ErrUnknownLeaderEpoch, ErrUnsupportedCompressionType,
	ErrStaleBrokerEpoch, ErrOffsetNotAvailable, ErrMemberIDRequired, ErrPreferredLeaderNotAvailable,
	ErrGroupMaxSizeReached, ErrFencedInstanceID, ErrEligibleLeadersNotAvailable, ErrElectionNotNeeded,
	ErrNoReassignmentInProgress, ErrGroupSubscribedToTopic, ErrInvalidRecord, ErrUnstableOffsetCommit,
	ErrThrottlingQuotaExceeded, ErrProducerFenced, ErrResourceNotFound, ErrDuplicateResource,
	ErrUnacceptableCredential, ErrInconsistentVoterSet, ErrInvalidUpdateVersion, ErrFeatureUpdateFailed,
	ErrPrincipalDeserializationFailure, ErrSnapshotNotFound, ErrPositionOutOfRange, ErrUnknownTopicID,
	ErrDuplicateBrokerRegistration, ErrBrokerIDNotRegistered, ErrInconsistentTopicID, ErrInconsistentClusterID,
	ErrTransactionalIDNotFound, ErrFetchSessionTopicIDError, ErrIneligibleReplica, ErrNewLeaderElected,
	ErrOffsetMovedToTieredStorage, ErrFencedMemberEpoch, ErrUnreleasedInstanceID, ErrUnsupportedAssignor,
	ErrStaleMemberEpoch, ErrMismatchedEndpointType, ErrUnsupportedEndpointType, ErrUnknownControllerID,
	ErrUnknownSubscriptionID, ErrTelemetryTooLarge, ErrInvalidRegistration, ErrTransactionAbortable,
	ErrInvalidRecordState, ErrShareSessionNotFound, ErrInvalidShareSessionEpoch, ErrFencedStateEpoch,
	ErrInvalidVoterKey, ErrDuplicateVoter, ErrVoterNotFound, ErrInvalidRegularExpression,
	ErrRebootstrapRequired, ErrStreamsInvalidTopology, ErrStreamsInvalidTopologyEpoch, ErrStreamsTopologyFenced,
	ErrShareSessionLimitReached,
}
