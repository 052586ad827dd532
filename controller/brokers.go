package controller

import (
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

// maxBrokerAddresses bounds the listeners, and the directories, of one registration.
const maxBrokerAddresses = 256

func (d *decision) registerBroker(c RegisterBroker) (RegisterBrokerAnswer, error) {
	if c.ID < 0 || c.Incarnation == [16]byte{} || len(c.Listeners) > maxBrokerAddresses || len(c.Directories) > maxBrokerAddresses {
		return RegisterBrokerAnswer{}, kafkaproto.ErrInvalidRequest.With("A registration needs a broker id and an incarnation, and at most %d listeners and directories.", maxBrokerAddresses)
	}
	old, known := d.img.Broker(c.ID)
	if known && old.Incarnation == c.Incarnation {
		d.heardOf(c.ID, old.Epoch)
		return RegisterBrokerAnswer{Epoch: old.Epoch}, nil
	}
	if known && d.alive(old) && !shareDirectory(old.Directories, c.Directories) {
		return RegisterBrokerAnswer{}, kafkaproto.ErrDuplicateBrokerRegistration.With(
			"Another broker is registered with the broker id %d, and it is alive.", c.ID)
	}
	b := Broker{
		ID: c.ID, Epoch: d.img.lastBrokerEpoch + 1, Incarnation: c.Incarnation, Rack: c.Rack,
		Listeners: slices.Clone(c.Listeners), Directories: slices.Clone(c.Directories), Fenced: true,
	}
	d.emit(&BrokerRegistered{Broker: b})
	e := d.election()
	e.gone, e.returning, e.forgot = c.ID, c.ID, !c.Clean
	if known && len(old.Directories) > 0 && !shareDirectory(old.Directories, c.Directories) {
		e.forgot, e.wiped = true, true
	}
	d.holdElection(c.ID, e)
	d.heardOf(c.ID, b.Epoch)
	return RegisterBrokerAnswer{Epoch: b.Epoch}, nil
}

// shareDirectory says whether two incarnations use the same data directory. A directory is locked by the process that uses
// it, so the older one must be dead: no need to wait for its session to run out.
func shareDirectory(a, b [][16]byte) bool {
	return slices.ContainsFunc(a, func(dir [16]byte) bool { return slices.Contains(b, dir) })
}

func (d *decision) unfenceBroker(c UnfenceBroker) error {
	b, err := d.knownBroker(c.ID, c.Epoch)
	if err != nil {
		return err
	}
	d.heardOf(c.ID, c.Epoch)
	return d.unfence(b)
}

func (d *decision) unfence(b *Broker) error {
	if !b.Fenced {
		return nil
	}
	d.emit(&BrokerChanged{ID: b.ID, Epoch: b.Epoch, ShuttingDown: b.ShuttingDown})
	if b.ShuttingDown {
		return nil
	}
	e := d.election()
	e.serving = b.ID
	d.holdElection(b.ID, e)
	return d.raiseInternal()
}

func (d *decision) fenceBroker(c FenceBroker) error {
	b, err := d.knownBroker(c.ID, c.Epoch)
	if err != nil {
		return err
	}
	delete(d.sessions, c.ID)
	d.fence(b)
	return nil
}

// fence takes a broker's leaderships away because it doesn't serve.
func (d *decision) fence(b *Broker) {
	if b.Fenced {
		return
	}
	d.emit(&BrokerChanged{ID: b.ID, Epoch: b.Epoch, Fenced: true, ShuttingDown: b.ShuttingDown})
	e := d.election()
	e.gone = b.ID
	d.holdElection(b.ID, e)
}

func (d *decision) brokerHeartbeat(c BrokerHeartbeat) (BrokerHeartbeatAnswer, error) {
	b, err := d.knownBroker(c.ID, c.Epoch)
	if err != nil {
		return BrokerHeartbeatAnswer{}, err
	}
	d.heardOf(c.ID, c.Epoch)
	switch {
	case c.WantShutdown && !b.ShuttingDown:
		d.shutDown(b)
	case c.WantFenced:
		d.fence(b)
	case !b.ShuttingDown:
		if err := d.unfence(b); err != nil {
			return BrokerHeartbeatAnswer{}, err
		}
	}
	if err := d.settle(); err != nil {
		return BrokerHeartbeatAnswer{}, err
	}
	return BrokerHeartbeatAnswer{Fenced: !d.img.brokerServes(c.ID), ShutdownAllowed: c.WantShutdown}, nil
}

// shutDown moves leadership away from a broker that still serves; what nobody else can lead stays until it stops.
func (d *decision) shutDown(b *Broker) {
	d.emit(&BrokerChanged{ID: b.ID, Epoch: b.Epoch, Fenced: b.Fenced, ShuttingDown: true})
	e := d.election()
	e.gone, e.staying = b.ID, true
	d.holdElection(b.ID, e)
}

func (d *decision) unregisterBroker(c UnregisterBroker) error {
	b, ok := d.img.Broker(c.ID)
	if !ok {
		return kafkaproto.ErrBrokerIDNotRegistered.With("Broker ID %d is not currently registered.", c.ID)
	}
	if !b.Fenced {
		return kafkaproto.ErrInvalidRequest.With("Broker %d is alive: stop it first.", c.ID)
	}
	delete(d.sessions, c.ID)
	d.emit(&BrokerUnregistered{ID: c.ID, Epoch: b.Epoch})
	return nil
}

func (img *Image) brokerServes(id int32) bool {
	b, ok := img.Broker(id)
	return ok && !b.Fenced
}
