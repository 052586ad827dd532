package broker

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// autoCreateMillis bounds how long a Metadata request waits for the topics it creates.
const autoCreateMillis = 5000

// createMissing creates the topics that a Metadata request names, where it may. It returns why the others could not be
// created, as the client is to be told: every error is retriable but that of a name which can never be a topic's.
func (s *Server) createMissing(req *kmsg.MetadataRequest) map[string]error {
	if asksForAll(req) || !s.config.Bool("auto.create.topics.enable") || req.Version >= 4 && !req.AllowAutoTopicCreation {
		return nil
	}
	topics := s.missingTopics(req)
	if len(topics) == 0 {
		return nil
	}
	failed := map[string]error{}
	answers, err := submit[[]controller.CreateTopicAnswer](s, controller.CreateTopics{Topics: topics}, autoCreateMillis)
	if err != nil {
		s.log.Warn("cannot create topics on demand", "topics", len(topics), "first", topics[0].Name, "error", err)
		for _, t := range topics {
			failed[t.Name] = kafkaproto.ErrLeaderNotAvailable
		}
		return failed
	}
	for _, a := range answers {
		switch {
		case a.Err == nil:
			s.log.Info("topic created on demand", "topic", a.Name, "partitions", a.NumPartitions)
		case errors.Is(a.Err, kafkaproto.ErrTopicAlreadyExists): // another request was faster
		case errors.Is(a.Err, kafkaproto.ErrInvalidTopicException):
			failed[a.Name] = a.Err
		default:
			s.log.Warn("cannot create a topic on demand", "topic", a.Name, "error", a.Err)
			failed[a.Name] = kafkaproto.ErrLeaderNotAvailable
		}
	}
	return failed
}

// missingTopics are the named topics that do not exist and whose names are allowed.
func (s *Server) missingTopics(req *kmsg.MetadataRequest) []controller.CreateTopic {
	image := s.quorum.Image()
	seen := map[string]bool{}
	var topics []controller.CreateTopic
	for i := range req.Topics {
		t := &req.Topics[i]
		if t.Topic == nil || t.TopicID != [16]byte{} || seen[*t.Topic] || controller.ValidateTopicName(*t.Topic) != nil {
			continue
		}
		seen[*t.Topic] = true
		if _, ok := image.Topic(*t.Topic); !ok {
			topics = append(topics, s.topicOnDemand(*t.Topic, image))
		}
	}
	return topics
}

// topicOnDemand is how a topic is made that somebody asked for by name only: with the broker's defaults, and those of the
// coordinators with the settings that they need.
func (s *Server) topicOnDemand(name string, image *controller.Image) controller.CreateTopic {
	t := controller.CreateTopic{Name: name, NumPartitions: -1, ReplicationFactor: -1}
	keys, internal := internalTopicKeys[name]
	if !internal {
		return t
	}
	policy, compression, bytes := keys.cleanup, "producer", s.config.String(keys.segmentBytes)
	t.NumPartitions = int32(s.config.Int(keys.partitions))
	t.ReplicationFactor = s.internalReplicas(keys.replication, image)
	t.Configs = map[string]*string{"cleanup.policy": &policy, "compression.type": &compression, "segment.bytes": &bytes}
	if keys.minISR != "" {
		isr := s.config.String(keys.minISR)
		if int(t.ReplicationFactor) < s.config.Int(keys.minISR) {
			isr = "1"
		}
		t.Configs["min.insync.replicas"] = &isr
	}
	return t
}

// internalTopicKeys are the broker properties from which a coordinator's topic is made.
var internalTopicKeys = map[string]struct{ cleanup, partitions, replication, segmentBytes, minISR string }{
	"__consumer_offsets": {"compact", "offsets.topic.num.partitions", "offsets.topic.replication.factor",
		"offsets.topic.segment.bytes", ""},
	"__transaction_state": {"compact", "transaction.state.log.num.partitions", "transaction.state.log.replication.factor",
		"transaction.state.log.segment.bytes", "transaction.state.log.min.isr"},
	"__share_group_state": {"delete", "share.coordinator.state.topic.num.partitions",
		"share.coordinator.state.topic.replication.factor", "share.coordinator.state.topic.segment.bytes",
		"share.coordinator.state.topic.min.isr"},
}

// internalReplicas is the replication factor that was set, else Kafka's default of 3 or as many as there are brokers.
func (s *Server) internalReplicas(key string, image *controller.Image) int16 {
	factor := s.config.Int(key)
	if s.config.Origin(key) != 0 {
		return int16(factor)
	}
	brokers := 0
	for b := range image.Brokers() {
		if b.Active() {
			brokers++
		}
	}
	return int16(max(1, min(factor, brokers)))
}
