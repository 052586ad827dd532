package controller

import (
	"strings"

	"github.com/streambus/streambus/kafkaproto"
)

// maxNameLength leaves room for "-00000.index" within the 255 characters that file systems allow: Kafka's limit.
const maxNameLength = 249

// metadataTopic is where Kafka keeps its metadata; nobody may make a topic of that name.
const metadataTopic = "__cluster_metadata"

// InternalTopic says whether a topic is one of the coordinators'.
func InternalTopic(name string) bool {
	return name == "__consumer_offsets" || name == "__transaction_state" || name == "__share_group_state"
}

// ValidateTopicName checks a name as Kafka does. Errors: INVALID_TOPIC_EXCEPTION.
func ValidateTopicName(name string) error {
	bad := kafkaproto.ErrInvalidTopicException
	switch {
	case name == "":
		return bad.With("Topic name is invalid: the empty string is not allowed")
	case name == "." || name == "..":
		return bad.With("Topic name is invalid: '%s' is not allowed", name)
	case len(name) > maxNameLength:
		return bad.With("Topic name is invalid: the length of '%s' is longer than the max allowed length %d", name, maxNameLength)
	case strings.ContainsFunc(name, func(r rune) bool { return !legalInName(r) }):
		return bad.With("Topic name is invalid: '%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)
	}
	return nil
}

func legalInName(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-'
}

// Metric names turn '.' into '_', so two topics that differ in nothing else may not both exist.
func hasCollisionChars(name string) bool { return strings.ContainsAny(name, "._") }

func unifyName(name string) string { return strings.ReplaceAll(name, ".", "_") }
