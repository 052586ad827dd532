package partition

import (
	"cmp"
	"path/filepath"
	"slices"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

// Dir is one of the node's data directories.
type Dir struct {
	Path      string         // as configured
	Directory *log.Directory // nil where it could not be opened
	Engine    *log.Engine    // nil where its logs could not be
	Err       error          // why there is no Engine
}

// Failed is nil, or why nothing of the directory is served; KAFKA_STORAGE_ERROR.
func (d *Dir) Failed() error {
	if d.Engine == nil {
		return storageError(d.Err)
	}
	if err := d.Engine.Failed(); err != nil {
		return storageError(err)
	}
	return nil
}

// Absolute is the directory's path as clients are told.
func (d *Dir) Absolute() string {
	if a, err := filepath.Abs(d.Path); err == nil {
		return a
	}
	return d.Path
}

func (d *Dir) holds(id kafkaproto.TopicPartition) bool { return d.Engine != nil && d.Engine.Holds(id) }

// stored is a log with the directory that it is in.
type stored struct {
	log *log.Log
	dir *Dir
}

// log is the partition's log. It is another one after the partition has moved to another directory, with the same content.
func (p *Partition) log() *log.Log { return p.at.Load().log }

// Dir is the directory that the partition's log is in.
func (p *Partition) Dir() *Dir { return p.at.Load().dir }

// Dirs are the node's data directories, in the order in which they are configured.
func (m *Manager) Dirs() []*Dir { return m.dirs }

// offlineAtStart says whether a directory could not be opened: nobody knows then which replicas are in it.
func (m *Manager) offlineAtStart() bool {
	return slices.ContainsFunc(m.dirs, func(d *Dir) bool { return d.Engine == nil })
}

// held finds the directory that has a log, be it that nothing of it is served or that it is quarantined. A copy that is being
// made does not count.
func (m *Manager) held(id kafkaproto.TopicPartition) (found *Dir) {
	for _, d := range m.dirs {
		if !d.holds(id) || m.shadows[id] == d {
			continue
		}
		if _, ok := d.Engine.Log(id); ok {
			return d
		}
		if found == nil {
			found = d
		}
	}
	return found
}

// place chooses the directory in which a log is opened, or made if none has it; nil if that must not be, because it may be in
// a directory that could not be opened, or was there and nobody else can give what is lost.
func (s *step) place(id kafkaproto.TopicPartition) *Dir {
	m := s.m
	if d := m.undone.placed[id]; d != nil && d.Failed() == nil {
		return d
	}
	if d := m.held(id); d != nil {
		if d.Failed() != nil {
			return nil
		}
		return d
	}
	was, known := m.image.Partition(id)
	if isNew := m.applied && !(known && hosts(was, m.nodeID)) || s.anew[id]; !isNew {
		if m.offlineAtStart() {
			return nil
		}
		if p, ok := s.next.Partition(id); ok && m.lost && onlyHere(p, m.nodeID) {
			return nil
		}
	}
	return s.emptiest(id)
}

// onlyHere says whether nobody but a node may have all that was acknowledged. An empty log must not lead there: it would be taken
// for the whole, and other replicas would cut off what they have.
func onlyHere(p *controller.Partition, node int32) bool {
	other := func(id int32) bool { return id != node }
	return !slices.ContainsFunc(p.ISR, other) && !slices.ContainsFunc(p.ELR, other) &&
		(p.Leader == node || slices.Contains(p.ISR, node) || slices.Contains(p.ELR, node) || slices.Contains(p.LastKnownELR, node))
}

// emptiest is where a new log goes: to the directory that was asked for (AlterReplicaLogDirs), else as in Kafka to the one with
// the fewest logs.
func (s *step) emptiest(id kafkaproto.TopicPartition) *Dir {
	if s.counts == nil {
		s.counts = map[*Dir]int{}
		for _, d := range s.m.dirs {
			if d.Failed() == nil {
				s.counts[d] = d.Engine.Count()
			}
		}
	}
	var best *Dir
	for _, d := range s.m.dirs {
		if n, ok := s.counts[d]; ok && d.Failed() == nil && (best == nil || n < s.counts[best]) {
			best = d
		}
	}
	if d := s.preferred(id); d != nil && d.Failed() == nil {
		best = d
	}
	if best != nil {
		s.counts[best]++
	}
	return best
}

// Whole says whether every replica that the metadata gives this node could be opened.
func (m *Manager) Whole() bool {
	m.applying.Lock()
	defer m.applying.Unlock()
	return len(m.lostLogs) == 0
}

// DirFailed has the partitions of a directory that has failed leave the ISR, so that others lead. It is called once for
// each, by whoever opened its engine.
func (m *Manager) DirFailed() {
	m.applying.Lock()
	defer m.applying.Unlock()
	if m.closed {
		return
	}
	s := newStep(m, m.image, controller.Changes{})
	for t := range m.image.Topics() {
		if h := m.topics[t.ID]; h != nil {
			for i, p := range h.partitions {
				if p != nil {
					s.retireFailed(p, t.Partitions[i])
				}
			}
		}
	}
	s.tellLost()
}

// retireFailed ends serving a partition whose directory has failed, and says whether it has.
func (s *step) retireFailed(p *Partition, part *controller.Partition) bool {
	err := p.Dir().Failed()
	if err == nil {
		return false
	}
	if part.Leader != s.m.nodeID && part.Leader != controller.NoLeader {
		err = notLeader
	}
	p.retire(err, leaderHint{part.Leader, part.LeaderEpoch})
	s.lost = append(s.lost, p.id)
	return true
}

// tellLost has the controller elect others for replicas that can't be served, wherever it has not heard of that.
func (s *step) tellLost() {
	if len(s.lost) == 0 {
		return
	}
	var first []kafkaproto.TopicPartition
	for _, id := range s.lost {
		if !s.m.lostLogs[id] {
			first = append(first, id)
			s.m.lostLogs[id] = true
		}
	}
	if len(first) > 0 {
		s.offline(first, errNotHere)
	}
	s.m.suspects.lose(s.lost)
}

var errNotHere = kafkaproto.ErrKafkaStorageError.With("the data directory that it is in is offline, or gone")

// retell tells the controller again of what can't be served: it may have had nobody else to lead.
func (m *Manager) retell() {
	ids := make([]kafkaproto.TopicPartition, 0, len(m.lostLogs))
	for id := range m.lostLogs {
		ids = append(ids, id)
	}
	if len(ids) > 0 {
		slices.SortFunc(ids, compareIDs)
		m.suspects.lose(ids)
	}
}

// settle decides, at a start, which log counts where two directories have one: see log.Move. It is called before the first logs
// are opened.
func (s *step) settle() {
	m := s.m
	for _, d := range m.dirs {
		if d.Directory == nil || d.Failed() != nil {
			continue
		}
		moves, err := d.Directory.Moves()
		if err != nil {
			s.offline(nil, err)
		}
		for id, move := range moves {
			s.settleMove(d, id, move)
		}
	}
	if len(m.dirs) > 1 {
		s.settleTwins()
	}
}

func (s *step) settleMove(d *Dir, id kafkaproto.TopicPartition, move log.Move) {
	m := s.m
	var other *Dir
	for _, o := range m.dirs {
		if o != d && o.holds(id) {
			other = o
		}
	}
	switch {
	case move == log.MoveFuture && d.holds(id) && (other != nil || m.offlineAtStart()):
		m.shadows[id] = d
		return
	case move == log.MoveFuture: // what it was a copy of is gone for good
		s.offlineIf(id, d.Engine.DeleteLogs(id))
	case !d.holds(id): // it has moved on, or was deleted, since
	case other != nil:
		if err := deleteForGood(other, id); err != nil {
			s.offlineIf(id, err)
			return
		}
	case m.offlineAtStart():
		return // the other one may be there
	}
	s.offlineIf(id, d.Directory.EndMove(id))
}

// deleteForGood deletes a log so that it does not come back when the power goes.
func deleteForGood(d *Dir, id kafkaproto.TopicPartition) error {
	if err := d.Engine.DeleteLogs(id); err != nil {
		return err
	}
	return d.Engine.Flush()
}

func (s *step) offlineIf(id kafkaproto.TopicPartition, err error) {
	if err != nil {
		s.offline([]kafkaproto.TopicPartition{id}, err)
	}
}

// settleTwins puts one of two logs of the same name into quarantine, as when a directory comes back that was away for so long
// that its replicas were made anew. The one that was written to last counts: that with the later leader epoch, or the later end.
func (s *step) settleTwins() {
	m := s.m
	for i, d := range m.dirs {
		if d.Failed() != nil {
			continue
		}
		for _, id := range d.Engine.Logs() {
			for _, o := range m.dirs[i+1:] {
				if o.Failed() != nil || m.shadows[id] == d || m.shadows[id] == o {
					continue
				}
				mine, ok := d.Engine.Log(id)
				theirs, also := o.Engine.Log(id)
				if !ok || !also {
					continue
				}
				older := o
				if cmp.Or(cmp.Compare(mine.LastRecordEpoch(), theirs.LastRecordEpoch()), cmp.Compare(mine.Ends().Written, theirs.Ends().Written)) < 0 {
					older = d
				}
				s.putAside(older, id)
			}
		}
	}
}
