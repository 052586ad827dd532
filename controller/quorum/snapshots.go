package quorum

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// snapshots keeps the newest snapshot as one file, DIR/raft/snapshots/TERM-INDEX.snap, which appears there only when it is
// whole and durable. One is enough: the log behind an older one is gone. docs/format/raft.md has the layout.
type snapshots struct {
	fs    vfs.FS
	dir   string
	fatal *fatal
	taken func(bytes int64, took time.Duration)
}

const (
	snapshotMagic  = "SBSNAP01"
	snapshotSuffix = ".snap"
	maxSnapshotTop = 1 << 20 // bytes of a header: the configuration of a quorum is far smaller
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func openSnapshots(fs vfs.FS, dir string, f *fatal, taken func(int64, time.Duration)) (*snapshots, error) {
	s := &snapshots{fs: fs, dir: dir, fatal: f, taken: taken}
	if err := makeDir(fs, dir); err != nil {
		return nil, err
	}
	return s, s.sweep("")
}

// sweep removes what is not the snapshot to keep; with none named, only what was never finished.
func (s *snapshots) sweep(keep string) error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		whole := strings.HasSuffix(name, snapshotSuffix)
		if whole && (keep == "" || name == keep+snapshotSuffix) {
			continue
		}
		if err := s.fs.Remove(s.fs.PathJoin(s.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// makeDir makes a directory and those above it, each durable in the one that holds it.
func makeDir(fs vfs.FS, dir string) error {
	parent := fs.PathDir(dir)
	if _, err := fs.Stat(dir); err == nil || parent == dir {
		return err
	}
	if err := makeDir(fs, parent); err != nil {
		return err
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return syncDir(fs, parent)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Create is as raft.SnapshotStore says.
func (s *snapshots) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, ci uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if v != 1 {
		return nil, fmt.Errorf("snapshot version %d is not supported", v)
	}
	id := fmt.Sprintf("%016x-%016x", term, index)
	name := s.fs.PathJoin(s.dir, id+".tmp")
	f, err := s.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	sum := crc32.New(castagnoli)
	sink := &snapshotSink{store: s, id: id, name: name, file: f, sum: sum, started: time.Now()}
	sink.out = bufio.NewWriterSize(io.MultiWriter(sum, f), 64<<10) // sum first: a vfs.File may scribble over what it was given
	config := raft.EncodeConfiguration(c)
	head := append([]byte(snapshotMagic), make([]byte, 28)...)
	binary.BigEndian.PutUint64(head[8:], term)
	binary.BigEndian.PutUint64(head[16:], index)
	binary.BigEndian.PutUint64(head[24:], ci)
	binary.BigEndian.PutUint32(head[32:], uint32(len(config)))
	if _, err := sink.out.Write(append(head, config...)); err != nil {
		return nil, errors.Join(err, sink.Cancel())
	}
	return sink, nil
}

// check ends the process for errors other than a full disk, after which the next snapshot may do better.
func (s *snapshots) check(err error) {
	if err != nil && !errors.Is(err, syscall.ENOSPC) {
		s.fatal.report(fmt.Errorf("raft snapshot: %w", err))
	}
}

type snapshotSink struct {
	store   *snapshots
	id      string
	name    string
	file    vfs.File
	out     *bufio.Writer
	sum     hash.Hash32
	size    int64
	started time.Time
	done    bool
}

func (s *snapshotSink) ID() string { return s.id }

func (s *snapshotSink) Write(p []byte) (int, error) {
	n, err := s.out.Write(p)
	s.size += int64(n)
	s.store.check(err)
	return n, err
}

// Cancel is as raft.SnapshotSink says.
func (s *snapshotSink) Cancel() error {
	if s.done {
		return nil
	}
	s.done = true
	return errors.Join(s.file.Close(), s.store.fs.Remove(s.name))
}

// Close makes the snapshot durable and visible, and then drops the one before.
func (s *snapshotSink) Close() error {
	if s.done {
		return nil
	}
	err := s.finish()
	if err != nil {
		s.store.check(err)
		return errors.Join(err, s.Cancel())
	}
	s.done = true
	fs := s.store.fs
	err = fs.Rename(s.name, fs.PathJoin(s.store.dir, s.id+snapshotSuffix))
	if err == nil {
		err = syncDir(fs, s.store.dir)
	}
	if err != nil {
		s.store.check(err)
		return err
	}
	if s.store.taken != nil {
		s.store.taken(s.size, time.Since(s.started))
	}
	return s.store.sweep(s.id)
}

func (s *snapshotSink) finish() error {
	if err := s.out.Flush(); err != nil {
		return err
	}
	if _, err := s.file.Write(binary.BigEndian.AppendUint32(nil, s.sum.Sum32())); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	return s.file.Close()
}

// List is as raft.SnapshotStore says.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	slices.Reverse(names)
	var list []*raft.SnapshotMeta
	for _, name := range names {
		id, ok := strings.CutSuffix(name, snapshotSuffix)
		if !ok {
			continue
		}
		f, meta, _, err := s.open(id)
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		list = append(list, meta)
	}
	return list, nil
}

// Open is as raft.SnapshotStore says. The whole file is checked first.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	f, meta, body, err := s.open(id)
	if err != nil {
		return nil, nil, err
	}
	sum := crc32.New(castagnoli)
	end := body + meta.Size
	var stored [4]byte
	_, err = io.Copy(sum, io.NewSectionReader(f, 0, end))
	if err == nil {
		_, err = f.ReadAt(stored[:], end)
	}
	if err == nil && binary.BigEndian.Uint32(stored[:]) != sum.Sum32() {
		err = fmt.Errorf("raft snapshot %s: wrong checksum", id)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return meta, &snapshotReader{Reader: io.NewSectionReader(f, body, meta.Size), file: f}, nil
}

// snapshotReader may be closed twice: raft does, and so does the FSM.
type snapshotReader struct {
	io.Reader
	file vfs.File
	once sync.Once
}

func (r *snapshotReader) Close() (err error) {
	r.once.Do(func() { err = r.file.Close() })
	return err
}

// open reads a snapshot's header; body is where the image starts.
func (s *snapshots) open(id string) (f vfs.File, meta *raft.SnapshotMeta, body int64, err error) {
	f, err = s.fs.Open(s.fs.PathJoin(s.dir, id+snapshotSuffix))
	if err != nil {
		return nil, nil, 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("raft snapshot %s: %w", id, err), f.Close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, 0, err
	}
	head := make([]byte, 36)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, nil, 0, err
	}
	n := int64(binary.BigEndian.Uint32(head[32:]))
	body = int64(len(head)) + n
	if string(head[:8]) != snapshotMagic || n > maxSnapshotTop || body+4 > info.Size() {
		return nil, nil, 0, errors.New("not a snapshot of this version")
	}
	config := make([]byte, n)
	if _, err := f.ReadAt(config, int64(len(head))); err != nil {
		return nil, nil, 0, err
	}
	return f, &raft.SnapshotMeta{
		Version: 1, ID: id,
		Term: binary.BigEndian.Uint64(head[8:]), Index: binary.BigEndian.Uint64(head[16:]),
		ConfigurationIndex: binary.BigEndian.Uint64(head[24:]),
		Configuration:      raft.DecodeConfiguration(config),
		Size:               info.Size() - body - 4,
	}, body, nil
}

// any says whether there is a snapshot.
func (s *snapshots) any() (bool, error) {
	names, err := s.fs.List(s.dir)
	return slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, snapshotSuffix) }), err
}
