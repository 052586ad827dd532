package compat

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// soakSpec is what a topic of the soak is like.
type soakSpec struct {
	name          string
	partitions    int
	configs       map[string]string
	delete        bool // cleanup.policy has delete
	compact       bool // and compact
	keys          int  // of each partition
	small, large  int  // bytes of a value
	perSecond     int  // records
	plain         bool // one producer more, which is not idempotent
	limits        soakLimits
	tombstoneTime time.Duration // delete.retention.ms
}

// soakLimits are retention.ms and retention.bytes; below or equal 0: no limit.
type soakLimits struct {
	time  time.Duration
	bytes int64
}

// soakID is who sent a record, and the how manyth of that partition it is.
type soakID struct{ producer, n int32 }

// soakEntry is what is known of an offset.
type soakEntry struct {
	soakID
	at    int64 // timestamp in milliseconds
	acked bool  // or only seen
	gone  bool  // compacted away: it must not come back
}

// soakModel is what a topic must hold, from its creation to its deletion: all that was acknowledged or read, without what retention,
// compaction or DeleteRecords may have removed. Its methods note what is wrong in found.
type soakModel struct {
	soakSpec
	life  string // name and number of this life of the topic, the first word of every value
	seed  uint64 // of what is in its records
	found *findings

	mu      sync.Mutex
	parts   []*soakPartition
	periods []soakPeriod // of limits, one after the other
}

type soakPartition struct {
	number   int32
	entries  map[int64]soakEntry
	start    int64     // as far as was looked
	looked   time.Time // when it was asked for last
	deleteTo int64     // asked of DeleteRecords
	sent     [soakProducers]int32
	flying   int64 // bytes sent and not acknowledged
	// commits of a group: what was asked for and what was acknowledged.
	commitSent, commitAcked int64
}

// soakPeriod is when limits may have been in effect. to is zero for those that are.
type soakPeriod struct {
	soakLimits
	from, to time.Time
}

const (
	soakProducers = 6   // one for each codec, and a plain one
	soakOverhead  = 100 // more than what a record takes beside its value, with a batch of its own
)

func newSoakModel(spec soakSpec, life int, found *findings) *soakModel {
	m := &soakModel{soakSpec: spec, life: fmt.Sprintf("%s#%d", spec.name, life), found: found}
	h := fnv.New64a()
	h.Write([]byte(m.life))
	m.seed = h.Sum64()
	m.periods = []soakPeriod{{soakLimits: spec.limits, from: time.Now()}}
	for p := range spec.partitions {
		m.parts = append(m.parts, &soakPartition{number: int32(p), entries: map[int64]soakEntry{}, looked: time.Now()})
	}
	return m
}

// shape is what record n of a producer to a partition is like, always the same: its key, how long the value is at least (-1: a
// tombstone), and where the rest of it comes from.
func (m *soakModel) shape(p int32, id soakID) (key []byte, size int, rng *rand.Rand) {
	rng = rand.New(rand.NewPCG(m.seed, uint64(p)<<48|uint64(id.producer)<<40|uint64(id.n)))
	key = strconv.AppendInt([]byte("key "), rng.Int64N(int64(max(m.keys, 1))), 10)
	if m.compact && rng.IntN(8) == 0 {
		return key, -1, rng
	}
	size = m.small
	if rng.IntN(20) == 0 {
		size += rng.IntN(m.large)
	}
	return key, size, rng
}

func (m *soakModel) record(p int32, id soakID) *kgo.Record {
	key, size, rng := m.shape(p, id)
	r := &kgo.Record{Topic: m.name, Partition: p, Key: key}
	if size < 0 { // a tombstone says who it is in a header
		r.Headers = []kgo.RecordHeader{{Key: "id", Value: m.header(p, id)}}
		return r
	}
	r.Value = m.header(p, id)
	for len(r.Value) < size {
		if m.limits.bytes == 0 && rng.IntN(2) == 0 { // where bytes are counted it must not compress
			r.Value = append(r.Value, soakFiller...)
			continue
		}
		for range len(soakFiller) / 8 {
			r.Value = binary.LittleEndian.AppendUint64(r.Value, rng.Uint64())
		}
	}
	return r
}

const soakFiller = "soak soak soak soak soak soak soak soak soak soak soak soak soak"

func (m *soakModel) header(p int32, id soakID) []byte {
	return fmt.Appendf(nil, "%s %d %d %d ", m.life, p, id.producer, id.n)
}

// identify says who sent a record, and holds its content against what was sent.
func (m *soakModel) identify(r *kgo.Record) (id soakID, err error) {
	text := r.Value
	if text == nil && len(r.Headers) == 1 {
		text = r.Headers[0].Value
	}
	words := strings.SplitN(string(text[:min(len(text), 100)]), " ", 5)
	if len(words) != 5 || words[0] != m.life || words[1] != strconv.Itoa(int(r.Partition)) {
		return id, fmt.Errorf("holds %.80q", text)
	}
	producer, err1 := strconv.ParseInt(words[2], 10, 32)
	n, err2 := strconv.ParseInt(words[3], 10, 32)
	if err1 != nil || err2 != nil || producer < 0 || producer >= soakProducers {
		return id, fmt.Errorf("holds %.80q", text)
	}
	id = soakID{int32(producer), int32(n)}
	want := m.record(r.Partition, id)
	if !bytes.Equal(r.Key, want.Key) || !bytes.Equal(r.Value, want.Value) || (r.Value == nil) != (want.Value == nil) {
		return id, fmt.Errorf("is %d of producer %d, but not as it was sent", id.n, id.producer)
	}
	return id, nil
}

// sent counts a record that is about to be sent, and gives its number.
func (m *soakModel) sent(p, producer int32) soakID {
	m.mu.Lock()
	defer m.mu.Unlock()
	part := m.parts[p]
	id := soakID{producer, part.sent[producer]}
	part.sent[producer]++
	part.flying += m.weight(p, id)
	return id
}

// weight is more than what a record takes in the log.
func (m *soakModel) weight(p int32, id soakID) int64 {
	_, size, _ := m.shape(p, id)
	return int64(max(size, 0)) + int64(len(soakFiller)) + soakOverhead
}

// landed is told what became of a record that was sent.
func (m *soakModel) landed(p int32, id soakID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts[p].flying -= m.weight(p, id)
}

// hold notes that a record is at its offset: it was acknowledged there, or read.
func (m *soakModel) hold(r *kgo.Record, id soakID, acked bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parts[r.Partition]
	if r.Offset < p.start {
		return
	}
	e, known := p.entries[r.Offset]
	if known && e.soakID != id {
		m.found.add("%s-%d offset %d: is %d of producer %d, and was %d of %d (acknowledged: %v)",
			m.life, r.Partition, r.Offset, id.n, id.producer, e.n, e.producer, e.acked || acked)
		return
	}
	e.soakID, e.acked, e.at = id, e.acked || acked, r.Timestamp.UnixMilli()
	p.entries[r.Offset] = e
}

// limit notes that limits are about to be in effect, or (done) that those before are no more.
func (m *soakModel) limit(l soakLimits) (done func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.periods = append(m.periods, soakPeriod{soakLimits: l, from: time.Now()})
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		for i := range m.periods[:len(m.periods)-1] {
			if m.periods[i].to.IsZero() {
				m.periods[i].to = time.Now()
			}
		}
	}
}

// startsAt is told where a partition starts, as was answered to a request sent at a moment, and judges what has gone.
func (m *soakModel) startsAt(number int32, start int64, asked time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parts[number]
	now := time.Now()
	if start < p.start {
		m.found.add("%s-%d starts at %d, and did at %d before", m.life, number, start, p.start)
		return
	}
	if start > p.start {
		limits := m.limitsBetween(p.looked, now)
		kept := p.flying
		for offset, e := range p.entries {
			if offset >= start {
				kept += m.weight(number, e.soakID)
			}
		}
		for offset, e := range p.entries {
			if offset < start {
				m.judgeRemoved(p, offset, e, limits, kept, now)
				delete(p.entries, offset)
			}
		}
		p.start = start
	}
	p.looked = asked
}

func (m *soakModel) limitsBetween(from, to time.Time) (out []soakLimits) {
	for _, period := range m.periods {
		if period.from.Before(to) && (period.to.IsZero() || period.to.After(from)) {
			out = append(out, period.soakLimits)
		}
	}
	return out
}

// judgeRemoved holds a record below the start against what may have removed it: DeleteRecords, its age, or that enough is left
// without it. The lock is held.
func (m *soakModel) judgeRemoved(p *soakPartition, offset int64, e soakEntry, limits []soakLimits, kept int64, now time.Time) {
	if offset < p.deleteTo {
		return
	}
	for _, l := range limits {
		if m.delete && (l.time > 0 && e.at+l.time.Milliseconds() <= now.UnixMilli() || l.bytes > 0 && kept >= l.bytes) {
			return
		}
	}
	m.found.add("%s-%d offset %d was removed: %v old, %d bytes are left, limits %v, DeleteRecords up to %d",
		m.life, p.number, offset, now.Sub(time.UnixMilli(e.at)), kept, limits, p.deleteTo)
}

// soakRead is one pass over a partition.
type soakRead struct {
	began     time.Time
	from, end int64
	floor     int64 // start as it was known before
	seen      map[int64]bool
	last      [soakProducers]int32 // number of each producer, -1: none
	next      int64                // expected, where nothing is compacted
	gaps      [][2]int64           // first offset missing, first behind
}

func newSoakRead(from, end, floor int64) *soakRead {
	read := &soakRead{began: time.Now(), from: from, end: end, floor: floor, seen: map[int64]bool{}, next: from}
	for i := range read.last {
		read.last[i] = -1
	}
	return read
}

// take is one record of a pass, in order.
func (m *soakModel) take(read *soakRead, r *kgo.Record) {
	id, err := m.identify(r)
	if err != nil {
		m.found.add("%s-%d offset %d: %v", m.life, r.Partition, r.Offset, err)
		return
	}
	switch {
	case r.Offset < read.next:
		m.found.add("%s-%d offset %d follows %d", m.life, r.Partition, r.Offset, read.next-1)
	case r.Offset < read.floor:
		m.found.add("%s-%d offset %d is back, after the partition started at %d", m.life, r.Partition, r.Offset, read.floor)
	case r.Offset > read.next:
		read.gaps = append(read.gaps, [2]int64{read.next, r.Offset})
	}
	read.next = r.Offset + 1
	if id.producer != soakPlain && id.n <= read.last[id.producer] {
		m.found.add("%s-%d offset %d: %d of producer %d comes after %d", m.life, r.Partition, r.Offset, id.n, id.producer, read.last[id.producer])
	}
	read.last[id.producer], read.seen[r.Offset] = id.n, true
	m.mu.Lock()
	gone := m.parts[r.Partition].entries[r.Offset].gone
	m.mu.Unlock()
	if gone {
		m.found.add("%s-%d offset %d is back, after it was compacted away", m.life, r.Partition, r.Offset)
	}
	m.hold(r, id, false)
}

// missing are the offsets that a pass should have seen. The partition's start was asked for after it.
func (m *soakModel) missing(number int32, read *soakRead) (lost []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parts[number]
	if !m.compact {
		for _, gap := range read.gaps {
			if gap[1] > p.start {
				lost = append(lost, fmt.Sprintf("offsets %d to %d are missing; it starts at %d", gap[0], gap[1]-1, p.start))
			}
		}
	}
	newest := map[string]int64{} // offset of each key's last record
	if m.compact {
		for offset, e := range p.entries {
			key, _, _ := m.shape(number, e.soakID)
			newest[string(key)] = max(newest[string(key)], offset)
		}
	}
	for offset, e := range p.entries {
		if offset < max(read.from, p.start) || offset >= read.end || read.seen[offset] || e.gone {
			continue
		}
		if m.compact && m.superseded(offset, e, number, newest) {
			e.gone = true
			p.entries[offset] = e
			continue
		}
		lost = append(lost, fmt.Sprintf("offset %d is missing: %d of producer %d, acknowledged %v", offset, e.n, e.producer, e.acked))
	}
	return lost
}

// superseded tells whether compaction may have removed a record: there is a later one of its key, or it is a tombstone whose time is
// over. The lock is held.
func (m *soakModel) superseded(offset int64, e soakEntry, number int32, newest map[string]int64) bool {
	key, size, _ := m.shape(number, e.soakID)
	return newest[string(key)] > offset || size < 0 && time.Since(time.UnixMilli(e.at)) > m.tombstoneTime
}

// committing notes what a group is about to commit, committed what was acknowledged.
func (m *soakModel) committing(p int32, offset int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts[p].commitSent = max(m.parts[p].commitSent, offset)
}

func (m *soakModel) committed(p int32, offset int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts[p].commitAcked = max(m.parts[p].commitAcked, offset)
}

func (m *soakModel) commits(p int32) (sent, acked int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.parts[p].commitSent, m.parts[p].commitAcked
}

func (m *soakModel) startOf(p int32) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.parts[p].start
}

// deleting notes how far DeleteRecords is about to be asked to delete.
func (m *soakModel) deleting(p int32, to int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts[p].deleteTo = max(m.parts[p].deleteTo, to)
}
