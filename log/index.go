package log

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/streambus/streambus/internal/env"
)

// index is the Pebble instance of a directory. It changes only by sealing a file: one sstable per file is ingested, with
// everything that the file means, tombstones included. So it is a function of the sealed files, has no log of its own,
// and can be made anew from them.
type index struct {
	db    *pebble.DB
	opts  *pebble.Options
	fs    vfs.FS
	dir   string
	table string // where an sstable is built before it is ingested
}

// errIndexLost says that the index can't be used and has to be made anew.
var errIndexLost = errors.New("the index is damaged")

// indexLogger swallows Pebble's chatter, and does not return from Fatalf: Pebble would go on as if what failed had
// succeeded. The goroutine is parked; whoever waits for it gets its error from the engine's failure.
type indexLogger struct {
	fatal func(error)
	open  *atomic.Bool // set once the index is open: before, it is the opening that fails and not the directory
}

func (indexLogger) Infof(string, ...any)  {}
func (indexLogger) Errorf(string, ...any) {}
func (l indexLogger) Fatalf(format string, args ...any) {
	e := indexFatal{text: fmt.Sprintf("index: "+format, args...)}
	for _, arg := range args {
		if cause, ok := arg.(error); ok {
			e.cause = cause
		}
	}
	l.fatal(e)
	select {}
}

// indexFatal is what Pebble gave up for: its words, and the error that they tell of, if there is one.
type indexFatal struct {
	text  string
	cause error
}

func (e indexFatal) Error() string { return e.text }
func (e indexFatal) Unwrap() error { return e.cause }

const (
	indexCache    = 4 << 20
	indexMemTable = 64 << 10
	indexFiles    = 48
)

func indexOptions(f env.FS, readOnly bool, fatal func(error)) *pebble.Options {
	o := &pebble.Options{
		FS: f.VFS(), Logger: indexLogger{fatal, &atomic.Bool{}}, ReadOnly: readOnly,
		DisableWAL: true, CacheSize: indexCache, MemTableSize: indexMemTable, MaxOpenFiles: indexFiles,
		FormatMajorVersion:         pebble.FormatNewest,
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
	}
	o.Levels[0].BlockSize = 8 << 10
	// By default Pebble ends the process when a read finds damage; here the read returns an error.
	o.EventListener = &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}}
	o.EnsureDefaults()
	return o
}

// openIndex opens the Pebble instance. errIndexLost wraps whatever is not a plain error of the file system.
func openIndex(f env.FS, dir string, readOnly bool, fatal func(error)) (*index, error) {
	o := indexOptions(f, readOnly, fatal)
	db, err := openPebble(filepath.Join(dir, indexDir), o)
	if err != nil {
		return nil, err
	}
	return &index{db: db, opts: o, fs: o.FS, dir: dir, table: filepath.Join(dir, "index.seal")}, nil
}

func openPebble(dir string, o *pebble.Options) (db *pebble.DB, err error) {
	db, err = tryPebble(dir, o)
	if err == nil {
		return db, nil
	}
	if isDisk(err) {
		return nil, fmt.Errorf("open the index: %w", err)
	}
	return nil, fmt.Errorf("%w: %w", errIndexLost, err)
}

// tryPebble opens the instance in a goroutine of its own, which is left parked if Pebble finds its files beyond hope.
func tryPebble(dir string, o *pebble.Options) (*pebble.DB, error) {
	type opened struct {
		db  *pebble.DB
		err error
	}
	done := make(chan opened, 1)
	outer := o.Logger
	o.Logger = indexLogger{func(err error) {
		select {
		case done <- opened{nil, err}:
		default:
		}
		if l, ok := outer.(indexLogger); ok && l.open != nil && l.open.Load() {
			l.fatal(err)
		}
	}, nil}
	go func() {
		defer func() {
			// Pebble trusts parts of its files that have no checksum.
			if r := recover(); r != nil {
				done <- opened{nil, fmt.Errorf("%w: %v", errIndexLost, r)}
			}
		}()
		db, err := pebble.Open(dir, o)
		done <- opened{db, err}
	}()
	r := <-done
	if l, ok := outer.(indexLogger); ok && l.open != nil && r.err == nil {
		l.open.Store(true)
	}
	return r.db, r.err
}

// isDisk tells errors of the disk and of permissions, which making the index anew would not cure.
func isDisk(err error) bool {
	return isNoSpace(err) || isIO(err) || errors.Is(err, fs.ErrPermission)
}

func (x *index) close() error { return x.db.Close() }

// get returns a copy of the value, nil if there is none.
func (x *index) get(key []byte) ([]byte, error) {
	v, closer, err := x.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	out := append([]byte{}, v...)
	return out, closer.Close()
}

// scan calls fn with keys and values from lower up to but not including upper, until it returns false.
func (x *index) scan(lower, upper []byte, fn func(k, v []byte) (bool, error)) error {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(err, it.Close())
		}
		more, err := fn(it.Key(), v)
		if err != nil {
			return errors.Join(err, it.Close())
		}
		if !more {
			break
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	return nil
}

// entries calls fn with the entries of a log that hold offsets at from and above, below upTo.
func (x *index) entries(id tp, from, upTo offset, fn func(e *entry) (bool, error)) error {
	if from >= upTo {
		return nil
	}
	return x.scan(offsetKey(nil, keyEntry, id, from), afterLog(nil, keyEntry, id), func(k, v []byte) (bool, error) {
		_, last, err := decodeOffsetKey(k)
		if err != nil {
			return false, err
		}
		var e entry
		if err := e.decode(last, v); err != nil {
			return false, err
		}
		if e.base >= upTo {
			return false, nil
		}
		return fn(&e)
	})
}

// before is the last entry of a log that begins below o. It is found in one look: what compaction puts in place of others meanwhile
// is there as a whole or not at all.
func (x *index) before(id tp, o offset) (e entry, ok bool, err error) {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: logKey(nil, keyEntry, id), UpperBound: afterLog(nil, keyEntry, id)})
	if err != nil {
		return e, false, fmt.Errorf("read the index: %w", err)
	}
	read := func() error {
		v, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		_, last, err := decodeOffsetKey(it.Key())
		if err != nil {
			return err
		}
		return e.decode(last, v)
	}
	if ok = it.SeekGE(offsetKey(nil, keyEntry, id, max(o, 0))); ok {
		err = read()
	}
	if err == nil && (!ok || e.base >= o) {
		if ok = it.Prev(); ok {
			err = read()
		}
	}
	if err := errors.Join(err, it.Error(), it.Close()); err != nil {
		return e, false, fmt.Errorf("read the index: %w", err)
	}
	return e, ok, nil
}

// runs calls fn with the runs of a log that hold offsets at from and above, below upTo.
func (x *index) runs(id tp, from, upTo offset, fn func(r *run) (bool, error)) error {
	if from >= upTo {
		return nil
	}
	return x.scanRuns(offsetKey(nil, keyRun, id, from), afterLog(nil, keyRun, id), func(_ tp, r *run) (bool, error) {
		if r.base >= upTo {
			return false, nil
		}
		return fn(r)
	})
}

// allRuns calls fn with the runs of all logs, one log after the other.
func (x *index) allRuns(fn func(id tp, r *run) (bool, error)) error {
	return x.scanRuns([]byte{keyRun}, []byte{keyRun + 1}, fn)
}

func (x *index) scanRuns(lower, upper []byte, fn func(id tp, r *run) (bool, error)) error {
	return x.scan(lower, upper, func(k, v []byte) (bool, error) {
		id, last, err := decodeOffsetKey(k)
		if err != nil {
			return false, err
		}
		var r run
		if err := r.decode(last, v); err != nil {
			return false, err
		}
		return fn(id, &r)
	})
}

// indexWrite is one change of the index: tombstones, then keys, both in order. The keys survive the tombstones.
type indexWrite struct {
	dels []keyRange
	sets []keyValue
}

type keyRange struct{ start, end []byte }
type keyValue struct{ key, value []byte } // a nil value deletes

// ingest makes the change durable as a whole.
func (x *index) ingest(w *indexWrite) error {
	if err := x.build(w); err != nil {
		return errors.Join(fmt.Errorf("build an index table: %w", err), x.discard())
	}
	if err := x.db.Ingest(context.Background(), []string{x.table}); err != nil {
		return errors.Join(fmt.Errorf("ingest an index table: %w", err), x.discard())
	}
	return nil
}

func (x *index) discard() error {
	if err := x.fs.Remove(x.table); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (x *index) build(w *indexWrite) (err error) {
	f, err := x.fs.Create(x.table, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	o := x.opts.MakeWriterOptions(0, x.db.TableFormat())
	t := sstable.NewWriter(objstorageprovider.NewFileWritable(f), o)
	defer func() { err = errors.Join(err, t.Close()) }()
	for _, d := range w.dels {
		if err := t.DeleteRange(d.start, d.end); err != nil {
			return err
		}
	}
	for _, s := range w.sets {
		if s.value == nil {
			err = t.Delete(s.key)
		} else {
			err = t.Set(s.key, s.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
