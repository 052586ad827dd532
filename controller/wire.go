package controller

import (
	"fmt"

	"github.com/streambus/streambus/kafkaproto"
)

// How commands and answers travel from the node that was asked to the active controller and back. docs/format/commands.md
// has the bytes. Unlike events they are never stored, so a controller that does not know one says so.

// wireVersion is what this version of the program writes into every command.
const wireVersion = 0

// wire is how one kind of command, and its answer, are coded. Both functions code in either direction: what they are given
// when writing, or the zero value when reading, and they return what was read.
type wire struct {
	command func(*coder, Command) Command
	answer  func(*coder, any) any
}

func wireOf[C Command, A any](command func(*coder, *C), answer func(*coder, *A)) wire {
	return wire{
		command: func(c *coder, v Command) Command {
			typed, _ := v.(C)
			command(c, &typed)
			return typed
		},
		answer: func(c *coder, v any) any {
			if answer == nil {
				return nil
			}
			typed, _ := v.(A)
			answer(c, &typed)
			return typed
		},
	}
}

// none stands for the answer of commands that are answered with nil.
type none struct{}

// wires is by kind, which is the place and never changes. Place 0 is nobody's.
var wires = []wire{
	{},
	wireOf(codeCreateCluster, (*coder).str),
	wireOf[TakeOver, none](func(*coder, *TakeOver) {}, nil),
	wireOf(codeRegisterBroker, func(c *coder, a *RegisterBrokerAnswer) { c.int64(&a.Epoch) }),
	wireOf[UnfenceBroker, none](codeUnfenceBroker, nil),
	wireOf(codeBrokerHeartbeat, codeBrokerHeartbeatAnswer),
	wireOf[UnregisterBroker, none](func(c *coder, v *UnregisterBroker) { c.int32(&v.ID) }, nil),
	wireOf(codeCreateTopics, codeCreateTopicsAnswer),
	wireOf(codeDeleteTopics, codeDeleteTopicsAnswer),
	wireOf(codeCreatePartitions, codeCreatePartitionsAnswer),
	wireOf(codeAllocateProducerIDs, codeAllocateProducerIDsAnswer),
	wireOf(codeChangeConfigs, codeChangeConfigsAnswer),
	wireOf(codeAlterPartition, codeAlterPartitionAnswer),
	wireOf[UpdateFeatures, none](codeUpdateFeatures, nil),
	wireOf(codeElectLeaders, codeElectLeadersAnswer),
	wireOf[FenceBroker, none](codeFenceBroker, nil),
	wireOf[ReplicasDamaged, none](codeReplicasDamaged, nil),
}

// wireKind is the place of a command in wires; 0 if it has none.
func wireKind(c Command) uint64 {
	switch c.(type) {
	case CreateCluster:
		return 1
	case TakeOver:
		return 2
	case RegisterBroker:
		return 3
	case UnfenceBroker:
		return 4
	case BrokerHeartbeat:
		return 5
	case UnregisterBroker:
		return 6
	case CreateTopics:
		return 7
	case DeleteTopics:
		return 8
	case CreatePartitions:
		return 9
	case AllocateProducerIDs:
		return 10
	case ChangeConfigs:
		return 11
	case AlterPartition:
		return 12
	case UpdateFeatures:
		return 13
	case ElectLeaders:
		return 14
	case FenceBroker:
		return 15
	case ReplicasDamaged:
		return 16
	}
	return 0
}

// Repeatable says whether a command that is decided twice leaves things as if it had been decided once, with the same
// answer in effect. Such a command may be sent again when it is not known what became of it.
func Repeatable(c Command) bool {
	switch c.(type) {
	case CreateCluster, RegisterBroker, UnfenceBroker, BrokerHeartbeat, AllocateProducerIDs, FenceBroker, ReplicasDamaged:
		return true
	}
	return false
}

// EncodeCommand appends a command's bytes to dst.
func EncodeCommand(dst []byte, v Command) ([]byte, error) {
	kind, version := wireKind(v), uint64(wireVersion)
	if kind == 0 {
		return dst, fmt.Errorf("controller: %T can't be sent", v)
	}
	c := &coder{buf: dst}
	c.uvarint(&kind)
	c.uvarint(&version)
	wires[kind].command(c, v)
	return c.buf, nil
}

// DecodeCommand reads a command; it doesn't refer to data. Errors: UNSUPPORTED_VERSION for one that this version does not
// know, INVALID_REQUEST.
func DecodeCommand(data []byte) (Command, error) {
	var kind, version uint64
	c := &coder{buf: data, reading: true}
	c.uvarint(&kind)
	c.uvarint(&version)
	if c.err == nil && (kind == 0 || kind >= uint64(len(wires)) || version > wireVersion) {
		return nil, kafkaproto.ErrUnsupportedVersion.With("the active controller is too old for command %d, version %d", kind, version)
	}
	c.version = version
	var v Command
	if c.err == nil {
		v = wires[kind].command(c, nil)
	}
	if err := c.end(); err != nil {
		return nil, kafkaproto.ErrInvalidRequest.With("%w", err)
	}
	return v, nil
}

// EncodeAnswer appends to dst the bytes of what a command was answered with.
func EncodeAnswer(dst []byte, to Command, value any) []byte {
	c := &coder{buf: dst}
	wires[wireKind(to)].answer(c, value)
	return c.buf
}

// DecodeAnswer reads the answer to a command that was encoded before. Errors are ErrUnreadable.
func DecodeAnswer(to Command, data []byte) (any, error) {
	c := &coder{buf: data, reading: true}
	v := wires[wireKind(to)].answer(c, nil)
	return v, c.end()
}

// EncodeError appends an error's bytes: its Kafka code and the message that clients see.
func EncodeError(dst []byte, err error) []byte {
	c := &coder{buf: dst}
	codeError(c, &err)
	return c.buf
}

// DecodeError reads an error. The second result says what is wrong with the bytes.
func DecodeError(data []byte) (result, bad error) {
	c := &coder{buf: data, reading: true}
	codeError(c, &result)
	return result, c.end()
}

// end is the error of a reading that must have used all bytes.
func (c *coder) end() error {
	if c.err == nil && len(c.buf) > 0 {
		c.fail("end")
	}
	return c.err
}

// codeError carries what a client is told: code and message. An error without a code becomes UNKNOWN_SERVER_ERROR.
func codeError(c *coder, err *error) {
	num, message := kafkaproto.Code(*err), kafkaproto.Message(*err)
	c.int16(&num)
	c.optional(&message)
	if !c.reading {
		return
	}
	kind := kafkaproto.ErrorForCode(num)
	switch {
	case kind == nil:
		*err = nil
	case message == nil:
		*err = kind
	default:
		*err = kind.With("%s", *message)
	}
}
