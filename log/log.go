package log

import (
	"fmt"
	"sync"

	"github.com/streambus/streambus/kafkaproto"
)

// Log is the log of one partition. It has no goroutine and no descriptor of its own: an idle one costs its struct and its state,
// whose sizes TestAnIdleLogCostsLittle bounds.
type Log struct {
	e  *Engine
	id tp

	mu         sync.Mutex
	policy     FlushPolicy // cfg's, or the engine's
	highNoted  bool        // in Engine.high
	created    bool        // the record of its creation is written
	deleting   bool        // the record of its deletion is on its way
	checkpoint uint32      // file with the last checkpoint, or with the creation
	cutIn      uint32      // file with the last truncation: the index is wrong above l.sealed until that is sealed
	cfg        *LogConfig  // shared by logs with the same, never changed
	listener   func()

	start, next, written, flushed offset
	high                          offset // what the partition noted last
	highLogged                    offset // what the WAL knows of it

	incarnation uint64
	quarantined int64 // ms since 1970, 0: no
	dead        error // deleted or closed

	unsealed    unsealed
	sealed      offset // below it the index is right, from it on unsealed is
	state       *logState
	pending     epochEntry // assigned, its record not yet written; epoch -1: none
	truncations uint32
	touched     uint32 // file whose changes of this log no capture holds yet, 0: none
	changes     changes
	drained     chan struct{}                       // closed when written has reached next
	damaged     *[]hole                             // see holes; nil: none, as nearly always
	refused     map[kafkaproto.ProducerID]batchInfo // first batches that were, of producers that are not known; see Refused

	// Of the syncer, under its lock.
	dirtyRound uint64
	dirtyIndex int32
	// Of the writer alone.
	planIndex              int32
	planRound, notifyRound uint64
}

func (e *Engine) newLog(id tp) *Log {
	return &Log{e: e, id: id, cfg: &noConfig, policy: e.opts.FlushPolicy, pending: epochEntry{epoch: -1}, changes: noChanges}
}

// ID names the log.
func (l *Log) ID() kafkaproto.TopicPartition { return l.id }

// SetConfig applies a topic's configuration from now on.
func (l *Log) SetConfig(c LogConfig) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setConfig(l.e.config(c))
}

// noConfig is the configuration of a log that nobody has opened yet.
var noConfig LogConfig

// config is a configuration that logs may share: as a rule many are given the same one after another.
func (e *Engine) config(c LogConfig) *LogConfig {
	if last := e.lastConfig.Load(); last != nil && *last == c {
		return last
	}
	e.lastConfig.Store(&c)
	return &c
}

func (l *Log) setConfig(c *LogConfig) {
	l.cfg, l.policy = c, c.Policy
	if l.policy == FlushDefault {
		l.policy = l.e.opts.FlushPolicy
	}
}

// SetListener sets what is called whenever written, flushed or start has moved or the log has failed: without locks, from
// the engine's goroutines or from a caller of this log. It must not block; calls may come together and more often than
// something moved.
func (l *Log) SetListener(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listener = f
}

func (l *Log) notify() {
	l.mu.Lock()
	f := l.listener
	l.mu.Unlock()
	if f != nil {
		f()
	}
}

// Ends are the log's ends at this moment.
func (l *Log) Ends() Ends {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Ends{Start: l.start, Next: l.next, Written: l.written, Flushed: l.flushed}
}

// HighWatermark is the last one noted, after a start the last one that the WAL knew.
func (l *Log) HighWatermark() kafkaproto.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.high
}

// NoteHighWatermark remembers a high watermark. It reaches the WAL with the next file and at a clean stop.
func (l *Log) NoteHighWatermark(hw kafkaproto.Offset) {
	l.mu.Lock()
	l.high = hw
	note := !l.highNoted && l.dead == nil
	l.highNoted = true
	l.mu.Unlock()
	if note {
		l.e.high.add(l)
	}
}

// Size is how many bytes of batches the log has, whole files' worth at the start.
func (l *Log) Size() int64 {
	l.mu.Lock()
	start, bound, n := l.start, l.sealed, payloadBytes(l.unsealed.entries)
	l.mu.Unlock()
	err := l.e.index.runs(l.id, start, bound, func(r *run) (bool, error) {
		n += r.bytes
		return true, nil
	})
	if err != nil {
		l.e.trouble("size of "+l.id.String(), err)
	}
	return n
}

// usable is why the log can't be used, or nil. The lock is held.
func (l *Log) usable() error {
	if err := l.e.Failed(); err != nil {
		return err
	}
	if l.dead != nil {
		return storage(fmt.Errorf("log %s: %w", l.id, l.dead))
	}
	if l.deleting {
		return storage(fmt.Errorf("log %s: %w: it is being deleted", l.id, ErrClosed))
	}
	return nil
}

// load reads the log's state, if it is not there yet. The lock is held.
func (l *Log) load() error {
	if l.state != nil {
		return nil
	}
	s := &logState{}
	v, err := l.e.index.get(logKey(nil, keyState, l.id))
	if err == nil && v != nil {
		err = s.decode(v)
	}
	if err != nil {
		return l.e.indexDamage(fmt.Errorf("state of log %s: %w", l.id, err))
	}
	l.state = s
	return nil
}

// highNotes are the logs whose high watermark has moved since the WAL was told.
type highNotes struct {
	mu   sync.Mutex
	logs []*Log
}

func (h *highNotes) add(l *Log) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logs = append(h.logs, l)
}

// take encodes what moved as control records.
func (h *highNotes) take(dst []byte) []byte {
	h.mu.Lock()
	logs := h.logs
	h.logs = nil
	h.mu.Unlock()
	for _, l := range logs {
		l.mu.Lock()
		hw, known := l.high, l.dead == nil && l.created
		l.highNoted = false
		l.mu.Unlock()
		if known {
			dst = appendControlInt(dst, ctlHigh, l.id, int64(hw))
		}
	}
	return dst
}

func (e *Engine) pushHighWatermarks() {
	if b := e.high.take(nil); len(b) > 0 {
		_ = e.queue.push(item{data: b, lazy: true})
	}
}
