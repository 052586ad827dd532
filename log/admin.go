package log

import (
	"encoding/binary"
	"errors"

	"github.com/streambus/streambus/kafkaproto"
)

// CreateLog makes the log, or opens it if it exists. See CreateLogs.
func (e *Engine) CreateLog(id kafkaproto.TopicPartition, cfg LogConfig) (*Log, error) {
	logs, err := e.CreateLogs([]tp{id}, cfg)
	if err != nil {
		return nil, err
	}
	return logs[0], nil
}

// CreateLogs makes logs, or opens those that exist, with the cost of one write and one sync whatever their number, and
// returns them in the order of ids. A quarantined log is taken back with what it has. On an error none may be relied on;
// calling again is safe.
func (e *Engine) CreateLogs(ids []kafkaproto.TopicPartition, cfg LogConfig) ([]*Log, error) {
	e.admin.Lock()
	defer e.admin.Unlock()
	if err := e.usable(); err != nil {
		return nil, err
	}
	var body []byte
	shared := e.config(cfg)
	logs, fresh := make([]*Log, len(ids)), []*Log(nil)
	for i, id := range ids {
		l := e.lookup(id)
		if l == nil {
			l = e.addLog(id)
			fresh = append(fresh, l)
			body = appendControl(body, ctlCreate, id, nil)
		}
		logs[i] = l
		l.mu.Lock()
		l.setConfig(shared)
		if l.quarantined != 0 {
			body = appendControlInt(body, ctlQuarantine, id, -1)
		}
		l.mu.Unlock()
	}
	if err := e.writeControl(body); err != nil {
		for _, l := range fresh {
			l.abandon()
		}
		return nil, err
	}
	return logs, nil
}

// abandon takes back a log whose creation could not be written.
func (l *Log) abandon() {
	l.mu.Lock()
	created := l.created
	if !created {
		l.dead = ErrClosed
	}
	l.mu.Unlock()
	if !created {
		l.e.removeLog(l)
	}
}

// writeControl writes control records and waits until they are written and, under FlushAlways, durable.
func (e *Engine) writeControl(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	if err := e.waitWritten(item{data: body}); err != nil {
		return err
	}
	if e.opts.FlushPolicy != FlushAlways {
		return nil
	}
	return e.sync.wait(position(e.write.at.Load()))
}

// waitWritten queues an item and waits until it is written.
func (e *Engine) waitWritten(it item) error {
	written := make(chan error, 1)
	it.done = func(err error) { written <- err }
	if err := e.queue.push(it); err != nil {
		return err
	}
	return <-written
}

// DeleteLogs removes logs with all they have; those that don't exist are no error. Reads that were answered already stay
// good. The disk space comes back soon after. Under FlushAlways the deletion is durable when it returns.
func (e *Engine) DeleteLogs(ids ...kafkaproto.TopicPartition) error {
	e.admin.Lock()
	defer e.admin.Unlock()
	if err := e.usable(); err != nil {
		return err
	}
	var body []byte
	var dying []*Log
	for _, id := range ids {
		l := e.lookup(id)
		if l == nil {
			continue
		}
		e.keep.noteRuns(l.id, 0, 1<<62)
		l.mu.Lock()
		if l.dead == nil && !l.deleting {
			l.deleting = true
			dying = append(dying, l)
			body = appendControl(body, ctlDelete, id, nil)
		}
		l.mu.Unlock()
	}
	err := e.writeControl(body)
	if err != nil && !errors.Is(err, ErrFailed) {
		for _, l := range dying {
			l.revive()
		}
	}
	return err
}

// revive takes back a deletion that could not be written.
func (l *Log) revive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deleting = false
}

// Quarantine puts a log aside that the metadata does not know: it is not served any more, and deleted after
// QuarantineTime unless CreateLog takes it back.
func (e *Engine) Quarantine(id kafkaproto.TopicPartition) error {
	e.admin.Lock()
	defer e.admin.Unlock()
	l := e.lookup(id)
	if l == nil {
		return nil
	}
	l.mu.Lock()
	already := l.quarantined != 0
	l.mu.Unlock()
	if already {
		return nil
	}
	now := e.env.Clock.Now().UnixMilli()
	if err := e.writeControl(appendControlInt(nil, ctlQuarantine, id, now)); err != nil {
		return err
	}
	if e.opts.Events.Quarantined != nil {
		e.opts.Events.Quarantined(id)
	}
	return nil
}

// AssignEpoch notes that a leader epoch begins at an offset. It is seen at once; the record of it goes out with the next
// write.
func (l *Log) AssignEpoch(epoch kafkaproto.LeaderEpoch, start kafkaproto.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.usable() != nil || l.load() != nil {
		return
	}
	if latest, _ := l.epochs().latest(); epoch <= latest {
		return
	}
	l.pending = epochEntry{epoch, start}
	body := binary.BigEndian.AppendUint32(nil, uint32(epoch))
	body = binary.BigEndian.AppendUint64(body, uint64(start))
	_ = l.e.queue.push(item{data: appendControl(nil, ctlEpoch, l.id, body), lazy: true})
}

// epochs are the log's epochs with the one whose record is on its way. The lock is held and the state loaded.
func (l *Log) epochs() epochTable {
	if l.pending.epoch < 0 {
		return l.state.epochs
	}
	if latest, _ := l.state.epochs.latest(); l.pending.epoch <= latest {
		return l.state.epochs
	}
	return l.state.epochs.assign(l.pending.epoch, l.pending.start)
}

// LatestEpoch is the last leader epoch and where it began; -1 and -1 if there is none.
func (l *Log) LatestEpoch() (kafkaproto.LeaderEpoch, kafkaproto.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.load() != nil {
		return kafkaproto.NoLeaderEpoch, kafkaproto.NoOffset
	}
	return l.epochs().latest()
}

// LastRecordEpoch is the leader epoch of the last record below the written end, -1 if there is none: not that of a leader who
// has written nothing, which LatestEpoch is.
func (l *Log) LastRecordEpoch() kafkaproto.LeaderEpoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.start >= l.written || l.load() != nil {
		return kafkaproto.NoLeaderEpoch
	}
	for t := l.epochs(); len(t) > 0; t = t[:len(t)-1] {
		if epoch, start := t.latest(); start < l.written {
			return epoch
		}
	}
	return kafkaproto.NoLeaderEpoch
}

// EndOfEpoch is the largest leader epoch that is not above the one asked for, with the offset where it ended (KIP-101):
// the end of the log for the last epoch; -1 and -1 for an epoch above all.
func (l *Log) EndOfEpoch(epoch kafkaproto.LeaderEpoch) (kafkaproto.LeaderEpoch, kafkaproto.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.load() != nil {
		return kafkaproto.NoLeaderEpoch, kafkaproto.NoOffset
	}
	return l.epochs().end(epoch, l.next)
}
