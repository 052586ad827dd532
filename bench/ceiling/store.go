package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/streambus/streambus/internal/env"
)

// options are the modes.
type options struct {
	groupCommit bool // answers wait for a sync
	apart       bool // each partition has files of its own
}

const (
	fileBytes = 128 << 20
	// What may be written and not synced: under group commit, and in files that nobody has synced yet otherwise.
	mostUnsynced = 256 << 20
	mostUnsealed = 2 << 30
	// writeBackBytes is after how much the system is told to begin to write, where nobody waits for a sync, as in StreamBus. Each
	// file's worth is then synced.
	writeBackBytes = 16 << 20
)

// store writes streams of files, and syncs them.
type store struct {
	fs  env.FS
	dir string
	o   options

	mu      sync.Mutex
	wake    sync.Cond // for the syncer
	synced  sync.Cond // for those who wait for it, or for room
	files   int       // made so far
	dirty   map[env.File]struct{}
	pending int64  // bytes that no sync covers yet
	loose   int64  // of them, since the last sync began
	back    int64  // of those, told to be written back
	begin   bool   // writing back is to begin
	wanted  bool   // a sync has been asked for
	begun   uint64 // syncs
	ended   uint64
	closed  bool
	err     error
	stopped chan struct{}
	all     []env.File
}

// stream is where appends go one behind the other. Its file is written by whoever has reserved a piece of it.
type stream struct {
	store *store
	mu    sync.Mutex
	at    env.File
	pos   int64
}

func newStore(fs env.FS, dir string, o options) (*store, error) {
	made, err := os.MkdirTemp(dir, "streambus-ceiling-")
	if err != nil {
		return nil, err
	}
	s := &store{fs: fs, dir: made, o: o, dirty: map[env.File]struct{}{}, stopped: make(chan struct{})}
	s.wake.L, s.synced.L = &s.mu, &s.mu
	go s.run()
	return s, nil
}

// place is where something was written.
type place struct {
	file env.File
	pos  int64
}

// append writes data behind what the stream has, and returns where, and the sync that covers it.
func (st *stream) append(data []byte) (place, uint64, error) {
	s := st.store
	size := int64(len(data))
	if err := s.room(size); err != nil {
		return place{}, 0, err
	}
	st.mu.Lock()
	if st.at == nil || st.pos+size > fileBytes {
		f, err := s.newFile()
		if err != nil {
			st.mu.Unlock()
			return place{}, 0, err
		}
		st.at, st.pos = f, 0
	}
	to := place{st.at, st.pos}
	st.pos += size
	st.mu.Unlock()
	if _, err := to.file.WriteVAt([][]byte{data}, to.pos); err != nil {
		return place{}, 0, err
	}
	return to, s.wrote(to.file, size), nil
}

func (s *store) newFile() (env.File, error) {
	s.mu.Lock()
	s.files++
	name := filepath.Join(s.dir, fmt.Sprintf("%06d", s.files))
	s.mu.Unlock()
	h, err := s.fs.Create(name)
	if err != nil {
		return nil, err
	}
	if err := h.Preallocate(0, fileBytes); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	s.mu.Lock()
	s.all = append(s.all, h)
	s.mu.Unlock()
	return h, nil
}

// room waits until so much may be written.
func (s *store) room(size int64) error {
	most := int64(mostUnsealed)
	if s.o.groupCommit {
		most = mostUnsynced
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.pending+size > most && s.pending > 0 && s.err == nil && !s.closed {
		s.wanted = true
		s.wake.Signal()
		s.synced.Wait()
	}
	if s.closed {
		return os.ErrClosed
	}
	return s.err
}

// wrote notes what was written, and returns the first sync to begin after it.
func (s *store) wrote(f env.File, size int64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty[f] = struct{}{}
	s.pending += size
	s.loose += size
	switch {
	case s.o.groupCommit || s.loose >= fileBytes:
		s.wanted = true
		s.wake.Signal()
	case s.loose-s.back >= writeBackBytes:
		s.begin, s.back = true, s.loose
		s.wake.Signal()
	}
	return s.begun + 1
}

// wait returns when that sync has ended.
func (s *store) wait(sync uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.ended < sync && s.err == nil && !s.closed {
		s.synced.Wait()
	}
	if s.ended < sync && s.err == nil {
		return os.ErrClosed
	}
	return s.err
}

// run syncs whenever that is asked for, everything at once.
func (s *store) run() {
	defer close(s.stopped)
	for {
		s.mu.Lock()
		for !s.wanted && !s.begin && !s.closed {
			s.wake.Wait()
		}
		if s.closed {
			s.synced.Broadcast()
			s.mu.Unlock()
			return
		}
		s.begin = false
		if !s.wanted {
			files := slices.Collect(maps.Keys(s.dirty))
			s.mu.Unlock()
			for _, f := range files {
				_ = f.WriteBack() // what goes wrong shows at its sync
			}
			continue
		}
		s.wanted, s.loose, s.back = false, 0, 0
		s.begun++
		covered, dirty := s.pending, s.dirty
		s.dirty = map[env.File]struct{}{}
		s.mu.Unlock()
		var err error
		for f := range dirty {
			err = errors.Join(err, f.SyncData())
		}
		s.mu.Lock()
		s.ended = s.begun
		s.pending -= covered
		s.err = errors.Join(s.err, err)
		s.synced.Broadcast()
		s.mu.Unlock()
	}
}

func (s *store) close() error {
	s.mu.Lock()
	s.closed = true
	s.wake.Signal()
	s.synced.Broadcast()
	s.mu.Unlock()
	<-s.stopped
	var err error
	for _, f := range s.all {
		err = errors.Join(err, f.Close())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
