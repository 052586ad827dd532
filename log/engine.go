package log

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// Engine is the storage engine of one data directory. Five goroutines work in it, whatever the number of logs: the writer
// (wal_writer.go), the syncer (wal_syncer.go), the sealer (seal.go), maintenance (retain.go) and the compactor (compact.go).
//
// Locks, in the order in which they may be taken: Engine.admin, Log.mu, then any one of Engine.mu, queue.mu, syncer.mu,
// sealer.mu, flow.mu, fileTable.mu. Listeners, Done and Events are called without any.
type Engine struct {
	opts  Options
	env   env.Env
	fs    env.FS
	dir   string
	files *fileTable
	index *index
	queue *queue
	flow  flow
	write writer
	sync  syncer
	seal  sealer
	keep  maintenance

	compact compactor

	admin sync.Mutex // one creation, deletion or quarantine at a time
	mu    sync.RWMutex
	logs  map[tp]*Log

	high highNotes

	failure   atomic.Pointer[error]
	failedNow chan struct{}
	full      atomic.Bool
	closed    atomic.Bool
	recovery  Recovery
	fresh     bool // in a recovery: the index is made anew
	counts    counters
	tuned     tuning
	// lastConfig is the one that a log was given last, for others to share.
	lastConfig atomic.Pointer[LogConfig]
	wg         sync.WaitGroup
}

type counters struct {
	appends, appendedBytes, frames, writtenBytes, writes, syncs, seals, unlinks, scrubbed, compacted, cleaned, cleanedAway, recycled atomic.Int64
}

func (o *Options) setDefaults() error {
	if o.Directory == nil || o.Env.FS == nil || o.Env.Clock == nil || o.Env.Rand == nil {
		return errors.New("log.Open: Directory and Env are required")
	}
	if o.FlushPolicy == FlushDefault {
		o.FlushPolicy = FlushAlways
	}
	setDefault(&o.FlushInterval, DefaultFlushInterval)
	setDefault(&o.FileBytes, DefaultFileBytes)
	setDefault(&o.RecycleBytes, DefaultRecycle)
	setDefault(&o.ProducerExpiration, DefaultProducerExpiration)
	setDefault(&o.MaintenanceInterval, defaultMaintenance)
	setDefault(&o.RetentionInterval, defaultRetention)
	setDefault(&o.CompactRunBytes, DefaultCompactRun)
	setDefault(&o.CompactDeadBytes, DefaultCompactDead)
	setDefault(&o.CompactBytesPerSecond, DefaultCompactRate)
	setDefault(&o.SortedFileBytes, DefaultSortedFile)
	setDefault(&o.CleanInterval, DefaultCleanInterval)
	setDefault(&o.CleanMapBytes, DefaultCleanMap)
	o.SortedFileBytes = min(o.SortedFileBytes, 1<<30)
	unsealed := int64(DefaultUnsealed)
	if o.FlushPolicy == FlushAlways {
		unsealed = DefaultUnsealedAlways
	}
	setDefault(&o.UnsealedMaxBytes, unsealed)
	o.FileBytes = min(max(o.FileBytes, 4<<10), 1<<30)
	// A full file that waits to be sealed and the one that is written must both have room.
	o.UnsealedMaxBytes = max(o.UnsealedMaxBytes, 2*o.FileBytes)
	return nil
}

func setDefault[T ~int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// DefaultReserve is the room that is left free on a disk of that size: 5%, at most 1 GiB, never below 64 MiB.
func DefaultReserve(total uint64) int64 {
	return max(64<<20, min(1<<30, int64(total/20)))
}

// Open opens the engine of a directory and recovers what an unclean stop left. Damage below what was synced is an error
// (every place is named) unless Options.AcceptCorruption is set; a damaged index is made anew.
func Open(o Options) (*Engine, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	e := &Engine{
		opts: o, env: o.Env, fs: o.Env.FS, dir: o.Directory.Path(), logs: map[tp]*Log{}, queue: newQueue(),
		failedNow: make(chan struct{}),
	}
	e.files = newFileTable(e.fs, filepath.Join(e.dir, walDir), o.Directory.ID())
	e.files.spares.most, e.files.spares.size = int(min(max(o.RecycleBytes, 0)/o.FileBytes, mostSpares)), o.FileBytes
	e.flow.init(o.UnsealedMaxBytes)
	e.write.e, e.sync.e, e.seal.e, e.keep.e, e.compact.e = e, e, e, e, e
	e.compact.init()
	e.sync.init()
	e.seal.init()
	e.keep.init()
	if err := e.recover(); err != nil {
		e.files.closeAll()
		if e.index != nil {
			err = errors.Join(err, e.index.close())
		}
		return nil, fmt.Errorf("open the log directory %s: %w", e.dir, err)
	}
	if err := e.files.findSpares(); err != nil {
		e.trouble("find files that were kept", err)
	}
	e.keep.checkDisk()
	e.start()
	return e, nil
}

func (e *Engine) start() {
	for _, run := range []func(){e.write.run, e.sync.run, e.seal.run, e.keep.run, e.compact.run} {
		e.wg.Add(1)
		go func() {
			defer e.wg.Done()
			run()
		}()
	}
}

// Close stops cleanly: everything is written, synced and sealed, so that the next start reads no file. Appends fail with
// ErrClosed from here on. The error is what kept it from being clean; the directory can be opened again in any case.
func (e *Engine) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	e.compact.close()
	e.keep.close()
	e.pushHighWatermarks()
	e.queue.close(storage(ErrClosed))
	e.flow.wakeAll()
	<-e.write.stopped
	e.write.finish()
	e.seal.close()
	select {
	case <-e.seal.stopped:
	case <-e.failedNow:
	}
	e.sync.close()
	if e.Failed() != nil {
		// The sealer may be parked in a call that never returns (indexLogger): leave it and the index.
		e.files.closeAll()
		return e.Failed()
	}
	e.wg.Wait()
	err := e.seal.err()
	e.closeLogs()
	e.sync.releaseFiles()
	e.files.closeAll()
	return errors.Join(err, e.index.close())
}

func (e *Engine) closeLogs() {
	for _, l := range e.all() {
		l.mu.Lock()
		l.dead = ErrClosed
		l.mu.Unlock()
	}
}

// fail poisons the directory: a write or a sync of it has failed, so nobody knows what is on the disk.
func (e *Engine) fail(cause error) {
	err := storage(fmt.Errorf("%w: %s: %w", ErrFailed, e.dir, cause))
	if !e.failure.CompareAndSwap(nil, &err) {
		return
	}
	close(e.failedNow)
	e.flow.wakeAll()
	// The caller may hold a log's lock.
	go func() {
		e.sync.wakeWaiters()
		e.seal.wake()
		if e.opts.OnFailed != nil {
			e.opts.OnFailed(err)
		}
		for _, l := range e.all() {
			l.notify()
		}
	}()
}

// Failed is nil, or why the directory serves nothing any more (wraps ErrFailed and KAFKA_STORAGE_ERROR).
func (e *Engine) Failed() error {
	if p := e.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// Full tells that the disk is full up to the reserve: appends fail, reads go on, and it ends by itself.
func (e *Engine) Full() bool { return e.full.Load() }

// Recovery is what Open found.
func (e *Engine) Recovery() Recovery { return e.recovery }

// usable is why neither reads nor writes may go on, or nil.
func (e *Engine) usable() error {
	if err := e.Failed(); err != nil {
		return err
	}
	if e.closed.Load() {
		return storage(ErrClosed)
	}
	return nil
}

// takes is why appends may not go on, or nil.
func (e *Engine) takes() error {
	if e.full.Load() {
		return storage(ErrFull)
	}
	return e.usable()
}

// all are the logs, in the order of their ids: what is written for several of them is then the same each time.
func (e *Engine) all() []*Log {
	e.mu.RLock()
	out := make([]*Log, 0, len(e.logs))
	for _, l := range e.logs {
		out = append(out, l)
	}
	e.mu.RUnlock()
	slices.SortFunc(out, func(a, b *Log) int {
		if less(a.id, b.id) {
			return -1
		}
		return 1
	})
	return out
}

func (e *Engine) lookup(id tp) *Log {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.logs[id]
}

// Log is an existing log that is not quarantined.
func (e *Engine) Log(id kafkaproto.TopicPartition) (*Log, bool) {
	l := e.lookup(id)
	if l == nil {
		return nil, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead != nil || l.deleting || l.quarantined != 0 || !l.created {
		return nil, false
	}
	return l, true
}

// Logs are the logs that exist and are not quarantined, in order.
func (e *Engine) Logs() []kafkaproto.TopicPartition {
	var ids []tp
	for _, l := range e.all() {
		l.mu.Lock()
		if l.dead == nil && !l.deleting && l.quarantined == 0 && l.created {
			ids = append(ids, l.id)
		}
		l.mu.Unlock()
	}
	return ids
}

// HasData tells whether any log exists, quarantined ones too.
func (e *Engine) HasData() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return len(e.logs) > 0
}

// Stats counts what the engine has and has done.
func (e *Engine) Stats() Stats {
	s := Stats{Full: e.Full()}
	s.OpenFiles, s.WALFiles = e.files.counts()
	for _, l := range e.all() {
		l.mu.Lock()
		s.Logs++
		s.MemoryEntries += len(l.unsealed.entries)
		if l.quarantined != 0 {
			s.Quarantined = append(s.Quarantined, l.id)
		}
		l.mu.Unlock()
	}
	s.UnsealedFiles, s.LiveBytes = e.seal.stats()
	s.QueuedBytes, s.UnsealedBytes = e.flow.inFlight.Load(), e.flow.unsealed.Load()
	c := &e.counts
	s.Appends, s.AppendedBytes = c.appends.Load(), c.appendedBytes.Load()
	s.Frames, s.WrittenBytes, s.Writes = c.frames.Load(), c.writtenBytes.Load(), c.writes.Load()
	s.Scrubbed, s.Compacted = c.scrubbed.Load(), c.compacted.Load()
	s.Recycled, s.Spares = c.recycled.Load(), e.files.spareCount()
	s.Cleaned, s.CleanedAway = c.cleaned.Load(), c.cleanedAway.Load()
	s.CompactionBacklog, s.SortedFiles = e.compact.backlog.Load(), e.files.sorted()
	s.Syncs, s.Seals, s.Unlinks = c.syncs.Load(), c.seals.Load(), c.unlinks.Load()
	return s
}

func (e *Engine) trouble(what string, err error) {
	if e.opts.Events.Trouble != nil {
		e.opts.Events.Trouble(what, err)
	}
}
