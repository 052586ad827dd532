package broker

// Metadata (key 3, versions 0-13): brokers, the controller, and where partitions are, as seen by the listener that the
// client came in by.
//
// All topics are asked for with null, in version 0 with an empty list. A topic that does not exist is created if
// auto.create.topics.enable and the request (KIP-361, version 4) allow it. Kafka answers the first request for it with a
// retriable error; here the answer has the topic, for Submit returns when this node has it. Offline replicas (KIP-112)
// from 5, LISTENER_NOT_FOUND from 6, leader epochs from 7, authorized operations (KIP-430) from 8 (for the cluster up to
// 10), topic ids (KIP-516) in answers from 10 and in requests from 12. Version 0 leaves out brokers that are not alive
// and says REPLICA_NOT_AVAILABLE.
//
// The controller is any broker that takes admin requests, as with KRaft: each passes them on.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// firstWithTopicIDs is the first version in which a client may ask by id.
const firstWithTopicIDs = 12

func handleMetadata(s *Server, r *request) {
	req := r.req.(*kmsg.MetadataRequest)
	if err := checkMetadataTopics(req); err != nil {
		r.fail(err)
		return
	}
	failed := s.createMissing(req)
	if s.catchUp != nil && !s.knowsAll(req) {
		s.catchUp(r.ctx) // it may have been created by way of another node just now
	}
	if s.settle != nil {
		s.settle(r.ctx)
	}
	m := describer{
		topology: topology{s.quorum.Image(), r.conn.listener}, version: req.Version,
		operations: operations(req.Version >= 8 && req.IncludeTopicAuthorizedOperations, topicOperations),
	}
	resp := kmsg.NewPtrMetadataResponse()
	resp.Brokers = m.brokers()
	resp.ClusterID = kmsg.StringPtr(s.clusterID())
	resp.ControllerID = s.controllerID(m.topology)
	resp.AuthorizedOperations = operations(req.Version >= 8 && req.IncludeClusterAuthorizedOperations, clusterOperations)
	if asksForAll(req) {
		resp.Topics = make([]kmsg.MetadataResponseTopic, 0, m.image.NumTopics())
		for t := range m.image.Topics() {
			resp.Topics = append(resp.Topics, m.topic(t))
		}
	} else {
		resp.Topics = m.asked(req, failed)
	}
	r.reply(resp)
}

// knowsAll says whether every topic that is asked for by name or id is known here.
func (s *Server) knowsAll(req *kmsg.MetadataRequest) bool {
	image := s.quorum.Image()
	for i := range req.Topics {
		if _, err := findTopic(image, keyOf(&req.Topics[i])); err != nil {
			return false
		}
	}
	return true
}

// keyOf is how a request names a topic.
func keyOf(t *kmsg.MetadataRequestTopic) sessionKey {
	k := sessionKey{byID: t.TopicID != [16]byte{}, id: t.TopicID}
	if !k.byID && t.Topic != nil {
		k.name = *t.Topic
	}
	return k
}

func asksForAll(req *kmsg.MetadataRequest) bool {
	return req.Topics == nil || req.Version == 0 && len(req.Topics) == 0
}

// checkMetadataTopics refuses ids and null names where they have no meaning yet.
func checkMetadataTopics(req *kmsg.MetadataRequest) error {
	if req.Version >= firstWithTopicIDs {
		return nil
	}
	for i := range req.Topics {
		if req.Topics[i].Topic == nil {
			return kafkaproto.ErrInvalidRequest.With("a topic's name can't be null in version %d", req.Version)
		}
		if req.Topics[i].TopicID != [16]byte{} {
			return kafkaproto.ErrInvalidRequest.With("topics can't be asked for by id in version %d", req.Version)
		}
	}
	return nil
}

// describer makes the parts of a Metadata answer out of the image.
type describer struct {
	topology
	version    int16
	operations int32
}

func (m describer) brokers() []kmsg.MetadataResponseBroker {
	brokers := []kmsg.MetadataResponseBroker{}
	for b := range m.image.Brokers() {
		if address, ok := m.address(b); ok && !b.Fenced {
			out := kmsg.NewMetadataResponseBroker()
			out.NodeID, out.Host, out.Port, out.Rack = b.ID, address.Host, address.Port, b.Rack
			brokers = append(brokers, out)
		}
	}
	return brokers
}

// asked answers for the topics that were named, each once. failed are the topics that could not be created.
func (m describer) asked(req *kmsg.MetadataRequest, failed map[string]error) []kmsg.MetadataResponseTopic {
	topics := make([]kmsg.MetadataResponseTopic, 0, len(req.Topics))
	answered := make(map[sessionKey]bool, len(req.Topics))
	for i := range req.Topics {
		k := keyOf(&req.Topics[i])
		if answered[k] {
			continue
		}
		answered[k] = true
		switch t, err := findTopic(m.image, k); {
		case err == nil:
			topics = append(topics, m.topic(t))
		case k.byID:
			topics = append(topics, m.missing(k.id, nil, err))
		case req.Topics[i].Topic == nil:
			topics = append(topics, m.missing(k.id, nil, kafkaproto.ErrUnknownTopicID))
		default:
			topics = append(topics, m.missing(k.id, &k.name, whyMissing(k.name, failed)))
		}
	}
	return topics
}

func whyMissing(name string, failed map[string]error) error {
	if err := failed[name]; err != nil {
		return err
	}
	if err := controller.ValidateTopicName(name); err != nil {
		return err
	}
	return kafkaproto.ErrUnknownTopicOrPartition
}

func (m describer) missing(id kafkaproto.TopicID, name *string, err error) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.ErrorCode, out.TopicID, out.Topic = kafkaproto.Code(err), id, name
	out.Partitions = []kmsg.MetadataResponseTopicPartition{}
	if name != nil {
		out.IsInternal, out.AuthorizedOperations = controller.InternalTopic(*name), m.operations
	}
	return out
}

func (m describer) topic(t *controller.Topic) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &t.Name, t.ID, t.Internal
	out.AuthorizedOperations = m.operations
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	for i, p := range t.Partitions {
		out.Partitions[i] = m.partition(p)
	}
	return out
}

func (m describer) partition(p *controller.Partition) kmsg.MetadataResponseTopicPartition {
	out := kmsg.NewMetadataResponseTopicPartition()
	leader, noListener := m.leader(p)
	out.Partition, out.Leader, out.LeaderEpoch = int32(p.ID), leader, int32(p.LeaderEpoch)
	out.Replicas, out.ISR, out.OfflineReplicas = p.Replicas, p.ISR, m.offline(p.Replicas)
	if m.version == 0 {
		out.Replicas, out.ISR = m.online(p.Replicas), m.online(p.ISR)
	}
	switch {
	case noListener && m.version >= 6:
		out.ErrorCode = kafkaproto.ErrListenerNotFound.Num
	case leader == controller.NoLeader:
		out.ErrorCode = kafkaproto.ErrLeaderNotAvailable.Num
	case len(out.Replicas) < len(p.Replicas) || len(out.ISR) < len(p.ISR):
		out.ErrorCode = kafkaproto.ErrReplicaNotAvailable.Num
	}
	return out
}
