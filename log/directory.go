package log

import (
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// Directory is a data directory that this process holds: locked, and known to belong to this node.
type Directory struct {
	env  env.Env
	path string
	lock io.Closer

	mu   sync.Mutex
	meta metaProperties
}

// metaProperties is meta.properties, Kafka's file with Kafka's keys; docs/format/meta.md.
type metaProperties struct {
	node      int32
	directory [16]byte
	cluster   string
	extra     []string // lines this version does not know are kept
}

const (
	metaFile    = "meta.properties"
	metaVersion = 1
	walDir      = "wal"
	indexDir    = "index"
)

// OpenDirectory locks a data directory, and makes it if it is not there. An empty directory gets a meta.properties with a new
// random id; one that lacks it but holds files, one of another node or of a newer format is refused. Errors wrap ErrLocked,
// ErrNoMeta, ErrOtherNode, ErrNewerFormat.
func OpenDirectory(e env.Env, path string, nodeID int32) (*Directory, error) {
	if err := makeDir(e.FS, path); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	lock, err := lockDir(e.FS, path)
	if err != nil {
		return nil, err
	}
	d := &Directory{env: e, path: path, lock: lock}
	if err := d.load(nodeID); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// makeDir makes a directory and makes every entry on its way durable.
func makeDir(f env.FS, path string) error {
	if err := f.MkdirAll(path); err != nil {
		return err
	}
	for p := filepath.Clean(path); ; {
		parent := filepath.Dir(p)
		if err := f.SyncDir(parent); err != nil {
			// A parent that can't be opened was not made here.
			if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) {
				return nil
			}
			return err
		}
		if parent == p || parent == "." {
			return nil
		}
		p = parent
	}
}

func lockDir(f env.FS, path string) (io.Closer, error) {
	lock, err := f.Lock(filepath.Join(path, "LOCK"))
	if errors.Is(err, syscall.EAGAIN) {
		return nil, fmt.Errorf("%w: %s", ErrLocked, path)
	}
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	return lock, nil
}

func (d *Directory) load(nodeID int32) error {
	data, err := d.env.FS.ReadFile(filepath.Join(d.path, metaFile))
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.mustBeNew(); err != nil {
			return err
		}
		d.meta.node = nodeID
		d.env.Rand.Read(d.meta.directory[:])
		return d.store(d.meta)
	}
	if err != nil {
		return err
	}
	if err := d.meta.decode(string(data)); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(d.path, metaFile), err)
	}
	if d.meta.node != nodeID {
		return fmt.Errorf("%w: %s is of node %d, this is node %d", ErrOtherNode, d.path, d.meta.node, nodeID)
	}
	if d.meta.directory == ([16]byte{}) {
		d.env.Rand.Read(d.meta.directory[:])
		return d.store(d.meta)
	}
	return nil
}

// mustBeNew refuses a directory that was one before: under another id nothing in it would count, and all would be removed.
func (d *Directory) mustBeNew() error {
	for _, sub := range []string{walDir, indexDir} {
		names, err := d.env.FS.List(filepath.Join(d.path, sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(names) > 0 {
			return fmt.Errorf("%w, but %s holds files: restore that file, for it says whose they are, or move %s away to begin anew",
				ErrNoMeta, filepath.Join(d.path, sub), d.path)
		}
	}
	return nil
}

func (d *Directory) store(m metaProperties) error {
	if err := d.env.FS.WriteFileAtomic(filepath.Join(d.path, metaFile), []byte(m.encode())); err != nil {
		return fmt.Errorf("write %s: %w", metaFile, err)
	}
	d.meta = m
	return nil
}

// ID is the directory's own id, made when it was formatted.
func (d *Directory) ID() [16]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.meta.directory
}

// ClusterID is the cluster that the directory belongs to, empty before it is known.
func (d *Directory) ClusterID() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.meta.cluster
}

// SetClusterID ties the directory to a cluster for good. ErrOtherCluster if it belongs to another.
func (d *Directory) SetClusterID(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.meta.cluster == id {
		return nil
	}
	if d.meta.cluster != "" {
		return fmt.Errorf("%w: %s is of cluster %s, this is %s", ErrOtherCluster, d.path, d.meta.cluster, id)
	}
	m := d.meta
	m.cluster = id
	return d.store(m)
}

// Path is where the directory is.
func (d *Directory) Path() string { return d.path }

// Close gives the lock back. The engine in it must be closed before.
func (d *Directory) Close() error { return d.lock.Close() }

func (m *metaProperties) encode() string {
	var b strings.Builder
	fmt.Fprintf(&b, "version=%d\nnode.id=%d\ndirectory.id=%s\n", metaVersion, m.node, kafkaproto.TopicID(m.directory))
	if m.cluster != "" {
		fmt.Fprintf(&b, "cluster.id=%s\n", m.cluster)
	}
	for _, line := range m.extra {
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, "checksum=%08x\n", crc32.Checksum([]byte(b.String()), crcTable))
	return b.String()
}

func (m *metaProperties) decode(text string) error {
	version := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		if line == "" || line[0] == '#' {
			continue
		}
		if !ok {
			return fmt.Errorf("%w: line %q", ErrCorrupt, line)
		}
		if key == "checksum" {
			if err := checkMeta(text, value); err != nil {
				return err
			}
			continue
		}
		var err error
		switch strings.TrimSpace(key) {
		case "version":
			version = strings.TrimSpace(value)
		case "node.id":
			var n int64
			n, err = strconv.ParseInt(strings.TrimSpace(value), 10, 32)
			m.node = int32(n)
		case "directory.id":
			err = m.decodeID(strings.TrimSpace(value))
		case "cluster.id":
			m.cluster = strings.TrimSpace(value)
		default:
			m.extra = append(m.extra, line)
		}
		if err != nil {
			return fmt.Errorf("%w: line %q: %w", ErrCorrupt, line, err)
		}
	}
	return checkMetaVersion(version)
}

// checkMeta compares the checksum with the lines before it. A file without that line, as Kafka writes it, is taken as it
// is; who edits one by hand removes the line.
func checkMeta(text, value string) error {
	before, _, _ := strings.Cut(text, "checksum=")
	if fmt.Sprintf("%08x", crc32.Checksum([]byte(before), crcTable)) != value {
		return fmt.Errorf("%w: checksum (remove that line if the file was edited by hand)", ErrCorrupt)
	}
	return nil
}

func checkMetaVersion(text string) error {
	v, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%w: version %q", ErrCorrupt, text)
	}
	if v > metaVersion {
		return fmt.Errorf("%w: version %d, this program knows %d", ErrNewerFormat, v, metaVersion)
	}
	return nil
}

func (m *metaProperties) decodeID(text string) error {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != 16 {
		return errors.New("not an id of 22 characters")
	}
	copy(m.directory[:], b)
	return nil
}
