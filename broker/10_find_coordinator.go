package broker

// FindCoordinator (key 10, versions 0-6): which broker coordinates a group.
//
// A group's coordinator is the leader of the partition of __consumer_offsets that its id hashes to, so there is exactly
// one. The topic is made when it is first asked for, whatever auto.create.topics.enable says. Kafka answers that request
// with COORDINATOR_NOT_AVAILABLE; here it waits for the topic, so that the client needn't come again. Key types from
// version 1 on, many keys in one request (KIP-699) from 4 on, where an error is its key's alone. Version 6 knows share
// coordinators (KIP-932), whose keys are "group:topicId:partition"; before that they are INVALID_REQUEST.
//
// Not done: the coordinators of transactions and of share partitions, which don't exist yet and are answered with
// COORDINATOR_NOT_AVAILABLE; their topics are not made.

import (
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

// Kinds of coordinators, as on the wire.
const (
	groupCoordinator       int8 = 0
	transactionCoordinator int8 = 1
	shareCoordinator       int8 = 2
)

// batchedCoordinators is the first version with many keys, shareCoordinators the first that knows those.
const (
	batchedCoordinators = 4
	shareCoordinators   = 6
)

// offsetsTopic holds what group coordinators remember.
const offsetsTopic = "__consumer_offsets"

// coordinator is where a key's coordinator is, or why it can't be told.
type coordinator struct {
	id   int32
	at   controller.Listener
	err  error
	text bool // the error comes with its text, as where Kafka refuses the request as a whole
}

func handleFindCoordinator(s *Server, r *request) {
	req := r.req.(*kmsg.FindCoordinatorRequest)
	resp := kmsg.NewPtrFindCoordinatorResponse()
	if req.Version < batchedCoordinators {
		c := s.findCoordinator(r, req, req.CoordinatorKey)
		resp.NodeID, resp.Host, resp.Port = c.id, c.at.Host, c.at.Port
		resp.ErrorCode, resp.ErrorMessage = kafkaproto.Code(c.err), coordinatorMessage(c.err)
		if c.err == nil {
			resp.ErrorMessage = kmsg.StringPtr("NONE") // Kafka's text for no error
		}
		r.reply(resp)
		return
	}
	resp.Coordinators = make([]kmsg.FindCoordinatorResponseCoordinator, len(req.CoordinatorKeys))
	for i, key := range req.CoordinatorKeys {
		c := s.findCoordinator(r, req, key)
		out := &resp.Coordinators[i]
		out.Default()
		out.Key, out.NodeID, out.Host, out.Port, out.ErrorCode = key, c.id, c.at.Host, c.at.Port, kafkaproto.Code(c.err)
		if out.ErrorMessage = kmsg.StringPtr(""); c.text { // Kafka leaves the text empty but here
			out.ErrorMessage = coordinatorMessage(c.err)
		}
	}
	r.reply(resp)
}

// coordinatorMessage is the text for an error, the general one where it has none of its own.
func coordinatorMessage(err error) *string {
	if m := kafkaproto.Message(err); m != nil || err == nil {
		return m
	}
	return kmsg.StringPtr(kafkaproto.ErrorForCode(kafkaproto.Code(err)).Text)
}

func (s *Server) findCoordinator(r *request, req *kmsg.FindCoordinatorRequest, key string) coordinator {
	none := coordinator{id: controller.NoLeader, at: controller.Listener{Port: -1}}
	switch req.CoordinatorType { // 0 in version 0
	case groupCoordinator:
	case transactionCoordinator:
		none.err = kafkaproto.ErrCoordinatorNotAvailable
		return none
	case shareCoordinator:
		none.err = checkShareKey(req.Version, key)
		return none
	default:
		none.err, none.text = kafkaproto.ErrInvalidRequest.With("coordinator type %d has no meaning", req.CoordinatorType), true
		return none
	}
	topic := s.coordinatorTopic(offsetsTopic)
	if topic == nil {
		none.err = kafkaproto.ErrCoordinatorNotAvailable
		return none
	}
	t := topology{s.quorum.Image(), r.conn.listener}
	leader := topic.Partitions[groups.PartitionFor(key, int32(len(topic.Partitions)))].Leader
	if b, ok := t.image.Broker(leader); ok && t.alive(leader) {
		at, _ := t.address(b)
		return coordinator{id: leader, at: at}
	}
	none.err = kafkaproto.ErrCoordinatorNotAvailable
	return none
}

// coordinatorTopic is a coordinator's topic, which is made if it does not exist; nil if that fails, which is logged.
func (s *Server) coordinatorTopic(name string) *controller.Topic {
	image := s.quorum.Image()
	if t, ok := image.Topic(name); ok {
		return t
	}
	answers, err := submit[[]controller.CreateTopicAnswer](s, controller.CreateTopics{
		Topics: []controller.CreateTopic{s.topicOnDemand(name, image)},
	}, autoCreateMillis)
	if err == nil && len(answers) == 1 {
		err = answers[0].Err
	}
	t, ok := s.quorum.Image().Topic(name)
	switch {
	case !ok:
		s.log.Warn("cannot create a coordinator's topic", "topic", name, "error", err)
		return nil
	case err == nil:
		s.log.Info("coordinator's topic created", "topic", name, "partitions", len(t.Partitions))
	}
	return t // another request was faster, if there was an error
}

// checkShareKey says why a share coordinator can't be found.
func checkShareKey(version int16, key string) error {
	if version < shareCoordinators {
		return kafkaproto.ErrInvalidRequest
	}
	group, rest, ok := cutLast(key, 2)
	if !ok || group == "" {
		return kafkaproto.ErrInvalidRequest
	}
	if _, err := kafkaproto.ParseTopicID(rest[0]); err != nil {
		return kafkaproto.ErrInvalidRequest
	}
	if n, err := strconv.ParseInt(rest[1], 10, 32); err != nil || n < 0 {
		return kafkaproto.ErrInvalidRequest
	}
	return kafkaproto.ErrCoordinatorNotAvailable
}

// cutLast cuts the last n parts behind colons off a key; a group's name may have colons itself.
func cutLast(key string, n int) (head string, parts []string, ok bool) {
	parts = make([]string, n)
	for i := n - 1; i >= 0; i-- {
		at := strings.LastIndexByte(key, ':')
		if at < 0 {
			return "", nil, false
		}
		key, parts[i] = key[:at], key[at+1:]
	}
	return key, parts, true
}
