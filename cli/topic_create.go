package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// CreateTopicOptions is one topic to make.
type CreateTopicOptions struct {
	Name              string
	Partitions        int32    // -1: the broker's num.partitions
	ReplicationFactor int16    // -1: the broker's default.replication.factor
	Assignment        string   // "1:2,2:3": brokers of partition 0, then of partition 1; excludes the two above
	Configs           []string // key=value
	IfNotExists       bool     // a topic that exists is no error
	DryRun            bool     // the broker checks everything and makes nothing
}

// CreatedTopic is the broker's answer.
type CreatedTopic struct {
	Name              string `json:"name"`
	ID                string `json:"id,omitempty"`
	Partitions        int32  `json:"partitions,omitempty"`        // 0 if the broker doesn't say
	ReplicationFactor int16  `json:"replicationFactor,omitempty"` // 0 if the broker doesn't say
	Existed           bool   `json:"existed,omitempty"`
	DryRun            bool   `json:"dryRun,omitempty"`
}

// WriteTable prints one sentence; there is nothing to tabulate.
func (c *CreatedTopic) WriteTable(w io.Writer) error {
	var err error
	switch {
	case c.Existed:
		_, err = fmt.Fprintf(w, "topic %s exists already\n", c.Name)
	case c.DryRun:
		_, err = fmt.Fprintf(w, "topic %s could be created\n", c.Name)
	default:
		_, err = fmt.Fprintf(w, "created topic %s\n", c.Name)
	}
	return err
}

// CreateTopic makes one topic (CreateTopics, key 19).
func CreateTopic(ctx context.Context, t Target, o CreateTopicOptions) (*CreatedTopic, error) {
	req, err := createTopicRequest(o, t)
	if err != nil {
		return nil, err
	}
	client, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("create topic %s: %w", o.Name, err)
	}
	if len(resp.Topics) != 1 {
		return nil, fmt.Errorf("create topic %s: the broker answered for %d topics", o.Name, len(resp.Topics))
	}
	return createdTopic(o, &resp.Topics[0])
}

func createdTopic(o CreateTopicOptions, r *kmsg.CreateTopicsResponseTopic) (*CreatedTopic, error) {
	c := &CreatedTopic{Name: o.Name, Partitions: max(r.NumPartitions, 0), ReplicationFactor: max(r.ReplicationFactor, 0), DryRun: o.DryRun}
	if r.TopicID != ([16]byte{}) {
		c.ID = topicID(r.TopicID)
	}
	err := kafkaError(r.ErrorCode, r.ErrorMessage)
	if errors.Is(err, kerr.TopicAlreadyExists) && o.IfNotExists {
		c.Existed = true
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("create topic %s: %w", o.Name, err)
	}
	return c, nil
}

func createTopicRequest(o CreateTopicOptions, t Target) (*kmsg.CreateTopicsRequest, error) {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic = o.Name
	topic.NumPartitions = o.Partitions
	topic.ReplicationFactor = o.ReplicationFactor
	if o.Assignment != "" {
		if o.Partitions != -1 || o.ReplicationFactor != -1 {
			return nil, usagef("--replica-assignment says how many partitions and replicas there are: leave out --partitions and --replication-factor")
		}
		var err error
		if topic.ReplicaAssignment, err = parseAssignment(o.Assignment); err != nil {
			return nil, err
		}
	}
	pairs, err := parsePairs("config", o.Configs)
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = p[0], &p[1]
		topic.Configs = append(topic.Configs, config)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topic)
	req.TimeoutMillis = int32(t.timeout().Milliseconds())
	req.ValidateOnly = o.DryRun
	return req, nil
}

// parseAssignment reads Kafka's notation of --replica-assignment: partitions by comma, brokers of one by colon.
func parseAssignment(s string) ([]kmsg.CreateTopicsRequestTopicReplicaAssignment, error) {
	var list []kmsg.CreateTopicsRequestTopicReplicaAssignment
	for i, part := range strings.Split(s, ",") {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition = int32(i)
		for _, b := range strings.Split(part, ":") {
			id, err := strconv.ParseInt(strings.TrimSpace(b), 10, 32)
			if err != nil || id < 0 {
				return nil, usagef("replica assignment %q: %q is not a broker id (write 1:2,2:3 for two partitions of two replicas)", s, b)
			}
			a.Replicas = append(a.Replicas, int32(id))
		}
		list = append(list, a)
	}
	return list, nil
}
