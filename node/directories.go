package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/partition"
)

// directory is one of log.dirs. The first one holds the metadata too, and must be there; any other may be offline, as long as
// one has an engine.
type directory struct {
	path   string
	dir    *log.Directory // nil: it could not be opened, see offline
	engine *log.Engine    // nil: its logs could not be, see offline
	// offline is why nothing of it is served since the start. A directory that fails later is told by its engine.
	offline error
	damage  error // what recovery found below what was synced, until mend
	clean   bool  // nothing was left to recover
	dead    bool  // its engine has failed
}

// Notes in meta.properties.
const (
	// notePeers is in the first directory: the ids of all that hold replicas of this node.
	notePeers = "streambus.directories"
	// noteFailed is in the directories that go on: the ids of those that have failed and have not been opened since.
	noteFailed = "streambus.failed.directories"
)

func ids(note string) []string {
	return slices.DeleteFunc(strings.Split(note, ","), func(s string) bool { return s == "" })
}

func idOf(d *log.Directory) string { return kafkaproto.TopicID(d.ID()).String() }

// openDirectories locks the data directories and recovers the engines in them.
func (n *Node) openDirectories(context.Context) error {
	began := n.o.Env.Clock.Now()
	for _, path := range n.set.dirs {
		n.dirs = append(n.dirs, &directory{path: path})
	}
	var absent []*directory // come last: by then it is known whether any of those that held replicas is missed
	for i, d := range n.dirs {
		if i > 0 && !n.there(d.path) {
			absent = append(absent, d)
		} else if err := n.openDirectory(d); err != nil {
			return err
		}
	}
	for _, d := range absent {
		if err := n.openAbsent(d); err != nil {
			return err
		}
	}
	if err := n.checkDirectories(); err != nil {
		return err
	}
	for _, d := range n.dirs {
		if d.dir == nil {
			continue
		}
		if err := n.openEngine(d, false); err != nil {
			return err
		}
	}
	n.log.Info("data directories opened", "dirs", strings.Join(n.set.dirs, ","), "took", n.o.Env.Clock.Now().Sub(began))
	return nil
}

// openDirectory locks one.
func (n *Node) openDirectory(d *directory) (err error) {
	if d.dir, err = log.OpenDirectory(n.o.Env, d.path, n.set.nodeID); err != nil {
		return n.goOffline(d, err)
	}
	return nil
}

// openAbsent makes a directory that is not there, unless it seems to have been.
func (n *Node) openAbsent(d *directory) error {
	missed := ids(n.dirs[0].dir.Note(notePeers))
	for _, o := range n.dirs {
		if o.dir != nil {
			missed = without(missed, idOf(o.dir))
		}
	}
	if len(missed) > 0 {
		return n.goOffline(d, errors.New("it is not there, but may have held replicas (make an empty directory there to do without them)"))
	}
	return n.openDirectory(d)
}

func without(list []string, id string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == id })
}

func (n *Node) there(path string) bool {
	_, err := n.o.Env.FS.List(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// goOffline lets the node start without a directory, if another one can do: the first holds the metadata. What says that the
// configuration is wrong ends the start.
func (n *Node) goOffline(d *directory, err error) error {
	for _, wrong := range []error{log.ErrLocked, log.ErrNoMeta, log.ErrOtherNode, log.ErrNewerFormat} {
		if errors.Is(err, wrong) {
			return err
		}
	}
	n.dirsMu.Lock()
	d.offline = err
	left := n.left()
	n.dirsMu.Unlock()
	if !left || d == n.dirs[0] && d.dir == nil {
		return err
	}
	n.forgot = true
	n.log.Error("a data directory is offline: what it holds is not served until the next start, and then only if it can be opened",
		"dir", d.path, "error", err)
	return nil
}

// checkDirectories refuses directories that are the same one, or none that is open.
func (n *Node) checkDirectories() error {
	seen := map[string]string{}
	for _, d := range n.dirs {
		if d.dir == nil {
			continue
		}
		id := idOf(d.dir)
		if other, twice := seen[id]; twice {
			return fmt.Errorf("%s and %s have the same directory.id %s: one is a copy of the other", other, d.path, id)
		}
		seen[id] = d.path
	}
	known := ids(n.dirs[0].dir.Note(notePeers))
	offline := slices.ContainsFunc(n.dirs, func(d *directory) bool { return d.dir == nil })
	gone := slices.ContainsFunc(known, func(id string) bool { return seen[id] == "" })
	n.lost = gone && !offline
	if n.lost {
		n.log.Error("data directories that held replicas are gone: those are made anew, and fetched from other brokers. What no other broker has stays offline; "+
			"start once with --set unsafe.accept.corruption=true to have that begin empty", "known", strings.Join(known, ","))
	}
	n.forgot = n.forgot || n.lost
	return nil
}

// noteDirectories remembers which directories hold replicas, before any is made in one.
func (n *Node) noteDirectories() error {
	var now []string
	for _, d := range n.dirs {
		if d.dir == nil {
			now = append(now, ids(n.dirs[0].dir.Note(notePeers))...) // it is one of these
		} else {
			now = append(now, idOf(d.dir))
		}
	}
	if n.lost {
		now = append(now, ids(n.dirs[0].dir.Note(notePeers))...) // until nothing is missed any more: see found
	}
	if len(now) == 1 {
		now = nil
	}
	slices.Sort(now)
	return n.dirs[0].dir.SetNote(notePeers, strings.Join(slices.Compact(now), ","))
}

// found forgets directories that are gone, once all replicas that were in them are made anew.
func (n *Node) found() error {
	if !n.lost || !n.manager.Whole() {
		return nil
	}
	n.lost = false
	return n.noteDirectories()
}

// records is a directory that holds some, "" if none does.
func (n *Node) records() string {
	for _, d := range n.dirs {
		if d.damage != nil || d.engine != nil && d.engine.HasData() {
			return d.path
		}
	}
	return ""
}

func (n *Node) raftDir() string { return filepath.Join(n.set.dirs[0], "raft") }

// joinCluster ties all directories to the cluster, and forgives those that had failed and could be opened: their recovery has
// read what was not sealed from the disk, so what it found is there.
func (n *Node) joinCluster(id string) error {
	for _, d := range n.dirs {
		if d.dir == nil {
			continue
		}
		if err := d.dir.SetClusterID(id); err != nil {
			return err
		}
	}
	for _, d := range n.dirs {
		for _, o := range n.dirs {
			if d.dir == nil || d.engine == nil || o.dir == nil || !slices.Contains(ids(o.dir.Note(noteFailed)), idOf(d.dir)) {
				continue
			}
			n.log.Warn("a data directory that had failed is used again: it could be opened, and what it holds was read from the disk", "dir", d.path)
			if err := o.dir.SetNote(noteFailed, strings.Join(without(ids(o.dir.Note(noteFailed)), idOf(d.dir)), ",")); err != nil {
				return err
			}
		}
	}
	return n.noteDirectories()
}

// failed is told by an engine that its directory has failed. The others go on.
func (n *Node) failed(d *directory, err error) {
	err = fmt.Errorf("data directory %s failed: %w", d.path, err)
	n.dirsMu.Lock()
	d.dead = true
	left, manager := n.left(), n.manager
	n.dirsMu.Unlock()
	if !left {
		n.fail(err)
		return
	}
	n.log.Error("a data directory has failed: other brokers lead what it holds, if they can; the next start uses it again if it can be opened then",
		"dir", d.path, "error", err)
	for _, o := range n.dirs {
		if o == d || o.dir == nil || o.offline != nil {
			continue
		}
		note := append(ids(o.dir.Note(noteFailed)), idOf(d.dir))
		if err := o.dir.SetNote(noteFailed, strings.Join(note, ",")); err != nil {
			n.log.Error("the failure could not be noted", "dir", o.path, "error", err)
		}
	}
	if manager != nil {
		manager.DirFailed() // one that is made later sees it by itself
	}
}

// left says whether any directory can still serve something. dirsMu is held.
func (n *Node) left() bool {
	return slices.ContainsFunc(n.dirs, func(d *directory) bool { return d.offline == nil && !d.dead })
}

// engines goes through those that were opened.
func (n *Node) engines(yield func(*log.Engine) bool) {
	for _, d := range n.dirs {
		if d.engine != nil && !yield(d.engine) {
			return
		}
	}
}

// alive is the answer to /healthz: an error if no directory serves anything.
func (n *Node) alive() (err error) {
	for e := range n.engines {
		if err = e.Failed(); err == nil {
			return nil
		}
	}
	return err
}

// offline counts the directories of which nothing is served.
func (n *Node) offline() (count int) {
	n.dirsMu.Lock()
	defer n.dirsMu.Unlock()
	for _, d := range n.dirs {
		if d.offline != nil || d.dead {
			count++
		}
	}
	return count
}

// stats sums up what the engines count.
func (n *Node) stats() log.Stats {
	var sum log.Stats
	for e := range n.engines {
		sum.Add(e.Stats())
	}
	return sum
}

// partitionDirs are the directories as partitions see them.
func (n *Node) partitionDirs() (out []partition.Dir) {
	for _, d := range n.dirs {
		out = append(out, partition.Dir{Path: d.path, Directory: d.dir, Engine: d.engine, Err: d.offline})
	}
	return out
}

// directoryIDs are what the broker is registered with.
func (n *Node) directoryIDs() (out [][16]byte) {
	for _, d := range n.dirs {
		if d.dir != nil {
			out = append(out, d.dir.ID())
		}
	}
	return out
}
