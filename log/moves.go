package log

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/streambus/streambus/kafkaproto"
)

// Move says how far a log is that is moved into a directory from another one of the same node. It is kept as an empty file in
// DIR/moves (docs/format/meta.md), so that a start can tell which of two logs counts.
type Move int8

const (
	// MoveNone: the log in this directory is like any other.
	MoveNone Move = iota
	// MoveFuture: the log in this directory is a copy that is being made. The one in the other directory counts.
	MoveFuture
	// MoveTaken: the copy has taken over. What is left of the log in the other directory counts no more.
	MoveTaken
)

const movesDir = "moves"

var moveSuffix = map[Move]string{MoveFuture: ".future", MoveTaken: ".taken"}

func (d *Directory) movePath(id tp, m Move) string {
	return filepath.Join(d.path, movesDir, id.String()+moveSuffix[m])
}

// Moves are the logs that are being moved into the directory. Names that are none are left alone.
func (d *Directory) Moves() (map[kafkaproto.TopicPartition]Move, error) {
	names, err := d.env.FS.List(filepath.Join(d.path, movesDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the moves into %s: %w", d.path, err)
	}
	moves := map[tp]Move{}
	for _, name := range names {
		for m, suffix := range moveSuffix {
			if text, ok := strings.CutSuffix(name, suffix); ok {
				if id, ok := parseLogID(text); ok {
					moves[id] = max(moves[id], m)
				}
			}
		}
	}
	return moves, nil
}

// parseLogID reads what kafkaproto.TopicPartition.String prints.
func parseLogID(text string) (id tp, ok bool) {
	at := strings.LastIndexByte(text, '-')
	if at < 0 {
		return id, false
	}
	topic, err := kafkaproto.ParseTopicID(text[:at])
	n, also := strconv.ParseInt(text[at+1:], 10, 32)
	return tp{Topic: topic, Partition: kafkaproto.PartitionID(n)}, err == nil && also == nil && n >= 0
}

// BeginMove notes that the log which is about to be made in this directory is a future one. It is durable when it returns.
func (d *Directory) BeginMove(id kafkaproto.TopicPartition) error {
	dir := filepath.Join(d.path, movesDir)
	if err := d.env.FS.MkdirAll(dir); err != nil {
		return fmt.Errorf("note a move: %w", err)
	}
	f, err := d.env.FS.Create(d.movePath(id, MoveFuture))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("note a move: %w", err)
	}
	if err == nil {
		if err := f.Close(); err != nil {
			return fmt.Errorf("note a move: %w", err)
		}
	}
	return errors.Join(d.env.FS.SyncDir(dir), d.env.FS.SyncDir(d.path))
}

// TakeOver is the moment from which on the log in this directory counts, and not the one that it was copied from. It is durable
// when it returns. If the error wraps ErrFailed either may count after the next start, so neither may be appended to until then.
func (d *Directory) TakeOver(id kafkaproto.TopicPartition) error {
	if err := d.env.FS.Rename(d.movePath(id, MoveFuture), d.movePath(id, MoveTaken)); err != nil {
		return fmt.Errorf("note that a move is done: %w", err)
	}
	if err := d.env.FS.SyncDir(filepath.Join(d.path, movesDir)); err != nil {
		return fmt.Errorf("%w: note that a move is done: %w", ErrFailed, err)
	}
	return nil
}

// EndMove forgets a move, if there is one: the other log, or the one in this directory, is gone for good.
func (d *Directory) EndMove(id kafkaproto.TopicPartition) error {
	noted := false
	for _, m := range []Move{MoveFuture, MoveTaken} {
		err := d.env.FS.Remove(d.movePath(id, m))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		noted = noted || err == nil
	}
	if !noted {
		return nil
	}
	return d.env.FS.SyncDir(filepath.Join(d.path, movesDir))
}

// Flush returns when all that the engine has written before is durable, whatever its policy.
func (e *Engine) Flush() error { return e.sync.wait(position(e.write.at.Load())) }

// Fail has the directory count as failed, as after a write that did.
func (e *Engine) Fail(cause error) { e.fail(cause) }

// Holds says whether the engine has a log of that name, a quarantined one too.
func (e *Engine) Holds(id kafkaproto.TopicPartition) bool { return e.lookup(id) != nil }

// Count is how many logs the engine has, quarantined ones too.
func (e *Engine) Count() int {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return len(e.logs)
}
