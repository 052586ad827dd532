package quorum

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// heartbeats keep the session of this node's broker alive: from its UnfenceBroker on, until it asks to be fenced or another
// registration has replaced it. So whoever submits those commands has no loop of its own to run.
type heartbeats struct {
	q     *Quorum
	mu    sync.Mutex // held while a command of this broker is under way, so that an old heartbeat can't overtake it
	epoch int64
	beats bool
	wake  chan struct{}
}

// own says whether a command is about the state of this node's broker.
func (h *heartbeats) own(c controller.Command) bool {
	id := h.q.options.NodeID
	switch c := c.(type) {
	case controller.RegisterBroker:
		return c.ID == id
	case controller.UnfenceBroker:
		return c.ID == id
	case controller.BrokerHeartbeat:
		return c.ID == id
	}
	return false
}

// submit sends a command of this node's broker and learns from it.
func (h *heartbeats) submit(ctx context.Context, c controller.Command) (any, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	value, err := h.q.submit(ctx, c)
	if err != nil {
		return value, err
	}
	switch c := c.(type) {
	case controller.RegisterBroker:
		h.beats = false
	case controller.UnfenceBroker:
		h.start(c.Epoch)
	case controller.BrokerHeartbeat:
		if c.WantFenced {
			h.beats = false
		} else {
			h.start(c.Epoch)
		}
	}
	return value, nil
}

func (h *heartbeats) start(epoch int64) {
	h.epoch, h.beats = epoch, true
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// interval leaves six chances within a session.
func (h *heartbeats) interval() time.Duration {
	if t := h.q.options.Defaults.SessionTimeout; t > 0 {
		return t / 6
	}
	return 500 * time.Millisecond
}

func (h *heartbeats) run() {
	defer h.q.running.Done()
	t := h.q.options.Env.Clock.NewTimer(h.interval())
	defer t.Stop()
	on := false
	for {
		var tick <-chan time.Time
		if on {
			tick = t.C()
		}
		select {
		case <-h.wake:
			if !on {
				t.Reset(h.interval())
			}
			on = true
		case <-tick:
			if on = h.beat(); on {
				t.Reset(h.interval())
			}
		case <-h.q.closing:
			return
		}
	}
}

// beat sends one heartbeat and says whether there is to be another.
func (h *heartbeats) beat() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.beats {
		return false
	}
	ctx, cancel := context.WithTimeout(h.q.ctx, 6*h.interval())
	defer cancel()
	_, err := h.q.submit(ctx, controller.BrokerHeartbeat{ID: h.q.options.NodeID, Epoch: h.epoch})
	if errors.Is(err, kafkaproto.ErrStaleBrokerEpoch) || errors.Is(err, kafkaproto.ErrBrokerIDNotRegistered) {
		h.q.options.Logger.Warn("this broker's registration was replaced", "epoch", h.epoch, "error", err)
		h.beats = false
	}
	return h.beats
}
