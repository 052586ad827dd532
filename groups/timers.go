package groups

import (
	"strconv"
	"strings"
	"time"
)

// Keys of timers: "session 5:group member", "join group", "sync group", "expire".
const (
	sessionKind = "session "
	joinKind    = "join "
	syncKind    = "sync "
	expireKey   = "expire"
)

// alarm is the end of a session. It moves with every heartbeat, and most of them never ring: so the timer is left where it is
// when the end moves away, and set again when it fires too early.
type alarm struct {
	key string
	at  time.Time // when the session ends; zero: it does not
	set time.Time // when the timer will fire; zero: there is none
}

func sessionKey(group, member string) string {
	return sessionKind + strconv.Itoa(len(group)) + ":" + group + " " + member
}

// setAlarm moves the end of a session to d from now.
func (m *Machine) setAlarm(a *alarm, d time.Duration) {
	a.at = m.now.Add(d)
	if a.set.IsZero() || a.at.Before(a.set) {
		a.set = a.at
		m.timer(a.key, a.at)
	}
}

func (m *Machine) clearAlarm(a *alarm) {
	if !a.set.IsZero() {
		m.timer(a.key, time.Time{})
	}
	a.at, a.set = time.Time{}, time.Time{}
}

// rang tells whether the session is over, and sets the timer again if it isn't.
func (m *Machine) rang(a *alarm) bool {
	if a.set.IsZero() || m.now.Before(a.set) {
		return false // a timer that was replaced while it fired
	}
	a.set = time.Time{}
	if m.now.Before(a.at) {
		a.set = a.at
		m.timer(a.key, a.at)
		return false
	}
	return true
}

// newSession gives a member as much time as it asked for.
func (m *Machine) newSession(g *group, mb *member) { m.session(g, mb, mb.sessionTimeout) }

func (m *Machine) session(g *group, mb *member, d time.Duration) {
	if mb.alarm.key == "" {
		mb.alarm.key = sessionKey(g.id, mb.id)
	}
	m.setAlarm(&mb.alarm, d)
}

// timerFired finds whose timer it was. One that nobody waits for any more does nothing.
func (m *Machine) timerFired(key string) {
	switch {
	case key == expireKey:
		m.expireOffsets()
	case strings.HasPrefix(key, joinKind):
		if g := m.groups[key[len(joinKind):]]; g != nil && due(g.joinAt, m.now) {
			g.joinAt = time.Time{}
			m.joinTimeout(g)
		}
	case strings.HasPrefix(key, syncKind):
		if g := m.groups[key[len(syncKind):]]; g != nil && due(g.syncAt, m.now) {
			g.syncAt = time.Time{}
			m.syncTimeout(g)
		}
	case strings.HasPrefix(key, sessionKind):
		if g, member := m.sessionOf(key[len(sessionKind):]); g != nil {
			m.sessionTimeout(g, member)
		}
	}
}

func due(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// sessionOf reads what sessionKey wrote.
func (m *Machine) sessionOf(s string) (*group, string) {
	digits, rest, _ := strings.Cut(s, ":")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n >= len(rest) {
		return nil, ""
	}
	return m.groups[rest[:n]], rest[n+1:]
}

func (m *Machine) armJoin(g *group, d time.Duration) {
	g.joinAt = m.now.Add(d)
	m.timer(joinKind+g.id, g.joinAt)
}

func (m *Machine) disarmJoin(g *group) {
	if !g.joinAt.IsZero() {
		g.joinAt = time.Time{}
		m.timer(joinKind+g.id, time.Time{})
	}
}

func (m *Machine) armSync(g *group, d time.Duration) {
	g.syncAt = m.now.Add(d)
	m.timer(syncKind+g.id, g.syncAt)
}

func (m *Machine) disarmSync(g *group) {
	if !g.syncAt.IsZero() {
		g.syncAt = time.Time{}
		m.timer(syncKind+g.id, time.Time{})
	}
}

// armExpiry looks for expired offsets after d; never if that is 0.
func (m *Machine) armExpiry(d time.Duration) {
	if d > 0 {
		m.timer(expireKey, m.now.Add(d))
	}
}
