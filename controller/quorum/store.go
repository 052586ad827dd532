package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
)

// store is raft's log and stable store on one Pebble instance. docs/format/raft.md has the keys and values. Every write is
// synced before it returns. An error that isn't the caller's fault ends the process (fatal): raft would panic or go on.
type store struct {
	db    *pebble.DB
	cache *pebble.Cache
	fatal *fatal

	mu          sync.Mutex
	first, last uint64 // of the log; 0 if it is empty
}

// Keys: the log under 'l' and its index, raft's variables under 's' and their name.
const (
	logPrefix    = 'l'
	stablePrefix = 's'
)

// errNotFound has the text that raft compares with.
var errNotFound = errors.New("not found")

const (
	storeMemTable = 1 << 20
	storeCache    = 1 << 20
	storeFiles    = 64
)

// storeFormat is named, not FormatNewest: a new Pebble must not make directories that the last release can't open.
const storeFormat = pebble.FormatWALSyncChunks

func openStore(dir string, fs *fullFS, f *fatal) (*store, error) {
	cache := pebble.NewCache(storeCache)
	opts := &pebble.Options{
		FS:                          fs,
		Cache:                       cache,
		MemTableSize:                storeMemTable,
		MemTableStopWritesThreshold: 4,
		MaxOpenFiles:                storeFiles,
		FormatMajorVersion:          storeFormat,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
		Logger:                      pebbleLogger{f.log, f},
	}
	db, err := pebble.Open(dir, opts)
	if err != nil {
		cache.Unref()
		return nil, fmt.Errorf("raft store %s: %w", dir, err)
	}
	s := &store{db: db, cache: cache, fatal: f}
	if err := s.findEnds(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *store) close() error {
	err := s.db.Close()
	s.cache.Unref()
	return err
}

func (s *store) findEnds() error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{logPrefix}, UpperBound: []byte{logPrefix + 1}})
	if err != nil {
		return err
	}
	if it.First() {
		s.first = binary.BigEndian.Uint64(it.Key()[1:])
	}
	if it.Last() {
		s.last = binary.BigEndian.Uint64(it.Key()[1:])
	}
	return errors.Join(it.Error(), it.Close())
}

// empty says whether nothing was ever written here.
func (s *store) empty() bool {
	it, err := s.db.NewIter(nil)
	if err != nil {
		s.fatal.never(err)
	}
	any := it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		s.fatal.never(err)
	}
	return !any
}

// bootstrap writes the first configuration of a new quorum. raft.BootstrapCluster does the same in two steps, and a crash
// between them would leave a directory that has a term but no members and never gets any.
func (s *store) bootstrap(c raft.Configuration) {
	b := s.db.NewBatch()
	entry := &raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(c)}
	s.must(b.Set(stableKey([]byte("CurrentTerm")), binary.BigEndian.AppendUint64(nil, 1), nil))
	s.must(b.Set(logKey(1), encodeLog(nil, entry), nil))
	s.commit(b)
	s.first, s.last = 1, 1
}

func (s *store) commit(b *pebble.Batch) {
	s.must(b.Commit(pebble.Sync))
	s.must(b.Close())
}

func (s *store) must(err error) {
	if err != nil {
		s.fatal.never(fmt.Errorf("raft store: %w", err))
	}
}

func logKey(index uint64) []byte { return binary.BigEndian.AppendUint64([]byte{logPrefix}, index) }

func stableKey(name []byte) []byte { return append([]byte{stablePrefix}, name...) }

// FirstIndex is as raft.LogStore says.
func (s *store) FirstIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first, nil
}

// LastIndex is as raft.LogStore says.
func (s *store) LastIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, nil
}

// GetLog is as raft.LogStore says.
func (s *store) GetLog(index uint64, l *raft.Log) error {
	v, closer, err := s.db.Get(logKey(index))
	if errors.Is(err, pebble.ErrNotFound) {
		return raft.ErrLogNotFound
	}
	s.must(err)
	s.must(decodeLog(v, index, l))
	s.must(closer.Close())
	return nil
}

// StoreLog is as raft.LogStore says.
func (s *store) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs is as raft.LogStore says.
func (s *store) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	b := s.db.NewBatch()
	var buf []byte
	for _, l := range logs {
		buf = encodeLog(buf[:0], l)
		s.must(b.Set(logKey(l.Index), buf, nil))
	}
	s.commit(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == 0 {
		s.first = logs[0].Index
	}
	s.last = max(s.last, logs[len(logs)-1].Index)
	return nil
}

// DeleteRange is as raft.LogStore says: raft cuts at the front after a snapshot, and at the end when a leader overrules it.
func (s *store) DeleteRange(low, high uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.db.NewBatch()
	s.must(b.DeleteRange(logKey(low), logKey(high+1), nil))
	s.commit(b)
	s.first, s.last = 0, 0
	s.must(s.findEnds())
	return nil
}

// Set is as raft.StableStore says.
func (s *store) Set(key, value []byte) error {
	s.must(s.db.Set(stableKey(key), value, pebble.Sync))
	return nil
}

// Get is as raft.StableStore says; the text of the error for a missing key is exactly what raft expects.
func (s *store) Get(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(stableKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, errNotFound
	}
	s.must(err)
	out := append([]byte(nil), v...)
	s.must(closer.Close())
	return out, nil
}

// SetUint64 is as raft.StableStore says. What is there already is not written again: raft does so at every start.
func (s *store) SetUint64(key []byte, value uint64) error {
	if old, err := s.GetUint64(key); err == nil && old == value {
		return nil
	}
	return s.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

// GetUint64 is as raft.StableStore says.
func (s *store) GetUint64(key []byte) (uint64, error) {
	v, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	if len(v) != 8 {
		s.fatal.never(fmt.Errorf("raft store: variable %q has %d bytes", key, len(v)))
	}
	return binary.BigEndian.Uint64(v), nil
}

const logVersion = 1

func encodeLog(dst []byte, l *raft.Log) []byte {
	dst = append(dst, logVersion, byte(l.Type))
	dst = binary.AppendUvarint(dst, l.Term)
	var at int64
	if !l.AppendedAt.IsZero() {
		at = l.AppendedAt.UnixNano()
	}
	dst = binary.AppendVarint(dst, at)
	dst = binary.AppendUvarint(dst, uint64(len(l.Extensions)))
	dst = append(dst, l.Extensions...)
	return append(dst, l.Data...)
}

// decodeLog copies out of v.
func decodeLog(v []byte, index uint64, l *raft.Log) error {
	bad := fmt.Errorf("raft store: entry %d can't be read", index)
	if len(v) < 2 || v[0] != logVersion {
		return bad
	}
	*l = raft.Log{Index: index, Type: raft.LogType(v[1])}
	v = v[2:]
	term, n := binary.Uvarint(v)
	if n <= 0 {
		return bad
	}
	v = v[n:]
	at, n := binary.Varint(v)
	if n <= 0 {
		return bad
	}
	v = v[n:]
	ext, n := binary.Uvarint(v)
	if n <= 0 || ext > uint64(len(v)-n) {
		return bad
	}
	v = v[n:]
	l.Term = term
	if at != 0 {
		l.AppendedAt = time.Unix(0, at)
	}
	if ext > 0 {
		l.Extensions = append([]byte(nil), v[:ext]...)
	}
	l.Data = append([]byte(nil), v[ext:]...)
	return nil
}
