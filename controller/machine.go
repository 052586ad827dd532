package controller

import (
	"fmt"
	"time"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// Input is what Step decides on: a command that waits for its answer under Ticket, or the key of a timer that fired.
type Input struct {
	Ticket  machine.Ticket
	Command Command
	Timer   string
}

// Machine is the active controller's mind: the image it decides on, which may be ahead of what is committed, and when it
// last heard of each broker. A deposed leader throws its machine away.
type Machine struct {
	img      *Image
	defaults Defaults
	sessions map[int32]session
	watching bool // a session timer is set
}

// NewMachine starts from an image.
func NewMachine(img *Image, d Defaults) *Machine {
	return &Machine{img: img, defaults: d, sessions: map[int32]session{}}
}

// Image is what the next Step decides on.
func (m *Machine) Image() *Image { return m.img }

// Step decides. Records are what happens, Replies the answer to the input's ticket, valid once the records are committed.
// It changes no hard state: give the records to Replay before the next Step, or drop the machine.
func (m *Machine) Step(now time.Time, in Input) machine.Result[Event] {
	d := &decision{Machine: m, img: m.img, now: now}
	if in.Command == nil {
		if in.Timer == rebalanceKey {
			d.rebalanceTimer()
		} else if err := d.sessionTimer(); err != nil {
			d.events = nil
		}
		return machine.Result[Event]{Records: d.events, Timers: d.timers}
	}
	value, err := d.decide(in.Command)
	if err != nil {
		d.events = nil
	}
	reply := machine.Reply{Ticket: in.Ticket, Value: value, Err: err}
	return machine.Result[Event]{Records: d.events, Replies: []machine.Reply{reply}, Timers: d.timers}
}

// Replay makes events of the last Step part of what the next one decides on.
func (m *Machine) Replay(events []Event) error {
	if len(events) == 0 {
		return nil
	}
	next, _, err := m.img.Replay(events)
	if err != nil {
		return err
	}
	m.img = next
	return nil
}

// Committed tells the machine the image that its last batch led to, with the index of that batch.
func (m *Machine) Committed(img *Image) { m.img = img }

// decision is one Step.
type decision struct {
	*Machine
	img     *Image // the machine's, plus what settle has added
	now     time.Time
	events  []Event
	settled int // how many of events img has
	timers  []machine.Timer
}

func (d *decision) emit(e Event) { d.events = append(d.events, e) }

// settle lets the rest of this Step see what it has emitted so far. Needed wherever two parts of a Step may touch the same
// partition or broker.
func (d *decision) settle() error {
	if d.settled == len(d.events) {
		return nil
	}
	next, _, err := d.img.Replay(d.events[d.settled:])
	if err != nil {
		return err
	}
	d.img, d.settled = next, len(d.events)
	return nil
}

func (d *decision) decide(c Command) (any, error) {
	switch c := c.(type) {
	case CreateCluster:
		return d.createCluster(c)
	case TakeOver:
		return nil, d.takeOver()
	case RegisterBroker:
		return d.registerBroker(c)
	case UnfenceBroker:
		return nil, d.unfenceBroker(c)
	case FenceBroker:
		return nil, d.fenceBroker(c)
	case ReplicasDamaged:
		return nil, d.replicasDamaged(c)
	case BrokerHeartbeat:
		return d.brokerHeartbeat(c)
	case UnregisterBroker:
		return nil, d.unregisterBroker(c)
	case CreateTopics:
		return d.createTopics(c)
	case DeleteTopics:
		return d.deleteTopics(c), nil
	case CreatePartitions:
		return d.createPartitions(c)
	case AllocateProducerIDs:
		return d.allocateProducerIDs(c)
	case ChangeConfigs:
		return d.changeConfigs(c)
	case ElectLeaders:
		return d.electLeaders(c)
	case AlterPartition:
		return d.alterPartition(c)
	case UpdateFeatures:
		return nil, d.updateFeatures(c)
	}
	return nil, fmt.Errorf("controller: unknown command %T", c)
}

// knownBroker finds the registration that a broker's request claims to come from.
func (d *decision) knownBroker(id int32, epoch int64) (*Broker, error) {
	b, ok := d.img.Broker(id)
	if !ok {
		return nil, kafkaproto.ErrBrokerIDNotRegistered.With("Broker ID %d is not currently registered.", id)
	}
	if b.Epoch != epoch {
		return nil, kafkaproto.ErrStaleBrokerEpoch.With("Expected broker epoch %d, but got broker epoch %d.", b.Epoch, epoch)
	}
	return b, nil
}
