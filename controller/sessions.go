package controller

import (
	"slices"
	"time"

	"github.com/streambus/streambus/internal/machine"
)

// sessionKey is the one timer of all sessions: it fires when the first of them would run out.
const sessionKey = "sessions"

// defaultSessionTimeout holds where Defaults has none.
const defaultSessionTimeout = 3 * time.Second

// session is what the active controller knows of a broker's life. It is soft state: a new leader starts all sessions anew.
type session struct {
	epoch int64
	last  time.Time
	seen  bool // heard by this leader, not only inherited
}

func (m *Machine) sessionTimeout() time.Duration { return m.defaults.Session() }

// Session is how long a broker may be silent.
func (d Defaults) Session() time.Duration {
	if d.SessionTimeout > 0 {
		return d.SessionTimeout
	}
	return defaultSessionTimeout
}

// heardOf restarts a broker's session.
func (d *decision) heardOf(id int32, epoch int64) {
	d.sessions[id] = session{epoch: epoch, last: d.now, seen: true}
	d.watch(d.now.Add(d.sessionTimeout()))
}

// watch sets the timer if none is set; one that fires too early is set again then.
func (d *decision) watch(at time.Time) {
	if !d.watching {
		d.watching = true
		d.timers = append(d.timers, machine.Timer{Key: sessionKey, At: at})
	}
}

// alive says whether this leader has heard of this registration within its session.
func (d *decision) alive(b *Broker) bool {
	s, ok := d.sessions[b.ID]
	return ok && s.seen && s.epoch == b.Epoch && d.now.Sub(s.last) < d.sessionTimeout()
}

func (d *decision) takeOver() error {
	for b := range d.img.Brokers() {
		if !b.Fenced {
			d.sessions[b.ID] = session{epoch: b.Epoch, last: d.now}
			d.watch(d.now.Add(d.sessionTimeout()))
		}
	}
	d.rebalanceLater()
	return nil
}

// sessionTimer fences the brokers that have been silent for too long. If the timer itself comes late, it was this
// controller that slept (a paused process, a suspended machine), and what the brokers sent lies unread: they get a new
// session instead of the blame.
func (d *decision) sessionTimer() error {
	d.watching = false
	timeout := d.sessionTimeout()
	ids := make([]int32, 0, len(d.sessions))
	for id := range d.sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var next time.Time
	for _, id := range ids {
		s := d.sessions[id]
		b, ok := d.img.Broker(id)
		if !ok || b.Epoch != s.epoch || b.Fenced {
			delete(d.sessions, id)
			continue
		}
		silent := d.now.Sub(s.last)
		if silent >= timeout+timeout/2 {
			s.last, silent = d.now, 0
			d.sessions[id] = s
		}
		if silent >= timeout {
			delete(d.sessions, id)
			d.fence(b)
			if err := d.settle(); err != nil {
				return err
			}
			continue
		}
		if at := s.last.Add(timeout); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if !next.IsZero() {
		d.watch(next)
	}
	return nil
}
