package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"

	"github.com/twmb/franz-go/pkg/kadm"
)

// ListTopicsOptions narrows the list.
type ListTopicsOptions struct {
	Internal bool   // also the cluster's own topics
	Pattern  string // a regular expression that the whole name matches; empty: any
}

// TopicSummary is one row of the list.
type TopicSummary struct {
	Name              string `json:"name"`
	ID                string `json:"id,omitempty"`
	Partitions        int    `json:"partitions"`
	ReplicationFactor int    `json:"replicationFactor"`
	Internal          bool   `json:"internal"`
}

// TopicList is sorted by name.
type TopicList []TopicSummary

// WriteTable prints one topic a line.
func (l TopicList) WriteTable(w io.Writer) error {
	t := NewTableWriter(w, "NAME", "PARTITIONS", "REPLICATION")
	for _, s := range l {
		t.Row(s.Name, s.Partitions, s.ReplicationFactor)
	}
	return t.Flush()
}

// ListTopics lists the topics of the cluster (Metadata, key 3).
func ListTopics(ctx context.Context, t Target, o ListTopicsOptions) (TopicList, error) {
	pattern, err := regexp.Compile(`^(?:` + o.Pattern + `)$`)
	if err != nil {
		return nil, usagef("topic %q is not a regular expression", o.Pattern)
	}
	admin, done, err := t.admin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	details, err := admin.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	list := TopicList{}
	for _, d := range details.Sorted() {
		if d.IsInternal && !o.Internal || o.Pattern != "" && !pattern.MatchString(d.Topic) {
			continue
		}
		list = append(list, TopicSummary{
			Name: d.Topic, ID: optionalID(d.ID), Partitions: len(d.Partitions),
			ReplicationFactor: d.Partitions.NumReplicas(), Internal: d.IsInternal,
		})
	}
	return list, nil
}

func optionalID(id kadm.TopicID) string {
	if id == (kadm.TopicID{}) {
		return ""
	}
	return topicID(id)
}

// topicID is Kafka's way to write a uuid: base64 for URLs without padding.
func topicID(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }
