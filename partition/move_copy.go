package partition

import (
	"errors"
	"time"

	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

// copyBytes is how much of a log is copied at once.
const copyBytes = 1 << 20

// restTime is how long a log may take to come to rest when its copy is about to take over; appends wait meanwhile.
const restTime = 200 * time.Millisecond

// run copies until the copy has taken over: nil. The move may be given up meanwhile, or fail; it can be run again.
func (v *move) run() error {
	if err := v.align(); err != nil {
		return err
	}
	for {
		select { // news of before are in what we look at now
		case <-v.moved:
		default:
		}
		near, err := v.copy()
		if err != nil {
			return err
		}
		if !near {
			continue
		}
		if over, err := v.takeOver(); over || err != nil {
			return err
		}
		select {
		case <-v.moved:
		case <-v.ctx.Done():
			return v.ctx.Err()
		}
	}
}

// align cuts a copy that an earlier process has begun to what it has in common with the log: as a follower does, by leader epochs
// (KIP-101).
func (v *move) align() error {
	ends := v.log.Ends()
	if ends.Next == ends.Start {
		return nil
	}
	last := v.log.LastRecordEpoch()
	epoch, end := v.p.log().EndOfEpoch(last)
	if epoch != last {
		end = ends.Start
	}
	if end >= ends.Next {
		return nil
	}
	return v.log.Truncate(max(end, ends.Start))
}

// follow cuts the copy where the log was cut.
func (v *move) follow() error {
	v.mu.Lock()
	to := v.cut
	v.cut = kafkaproto.NoOffset
	v.mu.Unlock()
	if to < 0 || to >= v.log.Ends().Next {
		return nil
	}
	return v.log.Truncate(max(to, v.log.Ends().Start))
}

// copy copies a piece, and says whether there is little left, if anything.
func (v *move) copy() (near bool, err error) {
	m := v.p.manager
	if v.ctx.Err() != nil {
		return false, v.ctx.Err()
	}
	if d := m.moving.wait(m.now()); d > 0 {
		m.pause(d)
		return false, nil
	}
	n, err := v.copyOnce()
	m.moving.took(n, m.now())
	if errors.Is(err, kafkaproto.ErrOffsetOutOfRange) {
		return false, nil // its start has moved, or it was cut, since we looked
	}
	return n < copyBytes/2, err
}

// copyOnce copies up to copyBytes from where the copy ends, bytes and offsets as they are.
func (v *move) copyOnce() (int, error) {
	if err := v.follow(); err != nil {
		return 0, err
	}
	from, to := v.p.log(), v.log
	theirs, mine := from.Ends(), to.Ends()
	at := max(mine.Next, theirs.Start)
	data, err := readBytes(from, at, theirs.Written)
	if err != nil {
		return 0, err
	}
	if at > mine.Next || mine.Next == mine.Start {
		// What the log starts inside of is copied as a whole.
		if len(data) > 0 {
			at = max(min(at, kafkaproto.Batch(data).BaseOffset()), mine.Next)
		}
		if err := to.AdvanceStart(at); err != nil {
			return 0, err
		}
	}
	if len(data) == 0 {
		return 0, nil
	}
	written := make(chan error, 1)
	_, err = to.Append(log.Append{Data: data, Follower: true, Origin: log.OriginReplication, Done: func(err error) { written <- err }})
	if err == nil {
		err = <-written
	}
	return len(data), err
}

// readBytes reads whole batches of a log, and checks them: damage must not be copied.
func readBytes(l *log.Log, from, upTo kafkaproto.Offset) ([]byte, error) {
	if from >= upTo {
		return nil, nil
	}
	read, err := l.Read(log.ReadRequest{From: from, UpTo: upTo, MaxBytes: copyBytes, MinOneBatch: true})
	if err != nil {
		return nil, err
	}
	defer read.Release()
	data, err := read.Append(nil)
	if err != nil {
		return nil, err
	}
	for rest := data; len(rest) > 0; {
		b, tail, err := kafkaproto.NextBatch(rest)
		if err == nil {
			err = b.CheckCRC()
		}
		if err != nil {
			return nil, err
		}
		rest = tail
	}
	return data, nil
}

// takeOver lets the copy take the log's place, and says whether it has. Until then appends wait; a crash leaves one or the other,
// whole: the copy is durable before the note is that makes it count, and that before the log that it was made of is deleted.
func (v *move) takeOver() (over bool, err error) {
	p, m := v.p, v.p.manager
	if err := v.to.Engine.Flush(); err != nil { // so that little is left to flush while others wait
		return false, err
	}
	m.applying.Lock()
	defer m.applying.Unlock()
	if m.closed || p.moving() != v {
		return true, v.ctx.Err()
	}
	p.role.Lock()
	over, err = v.exchange()
	p.role.Unlock()
	if !over {
		return over, err
	}
	v.stop()
	p.logMoved()
	if err != nil {
		return true, err
	}
	if f := m.events.Moved; f != nil {
		f(p.id, v.to.Path)
	}
	if err := m.clearShadow(p.id); err != nil {
		m.clearLater(p.id, err)
	}
	return true, nil
}

// exchange is takeOver with applying and role held.
func (v *move) exchange() (bool, error) {
	p := v.p
	from := p.Dir()
	if !v.rest() {
		return false, nil
	}
	for v.log.Ends().Next < p.log().Ends().Next {
		if _, err := v.copyOnce(); err != nil {
			return false, err
		}
	}
	if err := v.follow(); err != nil {
		return false, err
	}
	theirs, mine := p.log().Ends(), v.log.Ends()
	if mine.Start < theirs.Start {
		if err := v.log.AdvanceStart(theirs.Start); err != nil {
			return false, err
		}
		mine = v.log.Ends()
	}
	if mine.Next != theirs.Next || mine.Written != theirs.Next {
		return false, nil
	}
	if epoch, start := p.log().LatestEpoch(); epoch >= 0 {
		v.log.AssignEpoch(epoch, start)
	}
	v.log.NoteHighWatermark(p.log().HighWatermark())
	v.log.SetConfig(p.topic.Load().log)
	if err := v.flush(); err != nil {
		return false, err
	}
	err := v.to.Directory.TakeOver(p.id)
	if err != nil && !errors.Is(err, log.ErrFailed) {
		return false, err
	}
	if err != nil {
		v.to.Engine.Fail(err) // so nothing is appended to either, and the next start may take any of the two
	}
	p.log().SetListener(nil)
	p.mu.Lock()
	p.at.Store(&stored{v.log, v.to})
	p.move = nil
	p.mu.Unlock()
	v.log.SetListener(p.logMoved)
	p.manager.shadows[p.id] = from
	return true, err
}

// rest waits until all that the log has taken is written; nothing more comes, for role is held.
func (v *move) rest() bool {
	return v.wait(func() bool { ends := v.p.log().Ends(); return ends.Next == ends.Written }) && v.p.Dir().Failed() == nil
}

// flush makes the copy durable, and waits until it says so itself: the partition's flushed end must not fall.
func (v *move) flush() error {
	v.log.SetListener(func() { signalOne(v.moved) })
	if err := v.to.Engine.Flush(); err != nil {
		return err
	}
	if !v.wait(func() bool { ends := v.log.Ends(); return ends.Flushed >= ends.Written || ends.Start >= ends.Written }) {
		return errNotFlushed
	}
	return nil
}

var errNotFlushed = errors.New("the copy was not flushed in time")

// wait waits a short time for something that a log tells.
func (v *move) wait(ready func() bool) bool {
	timer := v.p.manager.env.Clock.NewTimer(restTime)
	defer timer.Stop()
	for !ready() {
		select {
		case <-v.moved:
		case <-timer.C():
			return false
		case <-v.ctx.Done():
			return false
		}
	}
	return true
}
