package quorum

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
)

// Voter is a node that votes, named as in controller.quorum.voters.
type Voter struct {
	NodeID  int32
	Address string
}

// Options of Open.
type Options struct {
	Env         env.Env
	Dir         string // DIR/raft; made if it is missing
	NodeID      int32
	DirectoryID [16]byte     // of meta.properties; with NodeID it names the voter
	Listener    net.Listener // cluster listener, owned by the quorum from here on
	Advertise   string       // host:port at which other nodes reach Listener; its own address if empty
	Voters      []Voter      // empty: just this one
	Defaults    controller.Defaults
	Events      Events
	Logger      *slog.Logger // nil: none
	// OnFatal is called once, when the state on disk can't be trusted any more (a failed write or sync, a batch that this
	// version can't read). The process must end; the quorum does nothing more.
	OnFatal func(error)
}

// Events tell telemetry what happens. Each may be nil; none may block.
type Events struct {
	LeaderChanged  func(id, epoch int32)
	BatchCommitted func(events, bytes int, took time.Duration)
	BatchFailed    func(error)
	SnapshotTaken  func(bytes int64, took time.Duration)
	DiskFull       func(full bool)
}

// Quorum is this node's part of the metadata quorum. All methods may be called from any goroutine.
type Quorum struct{}

// Open starts it. It returns before a leader is known: see WaitReady.
func Open(o Options) (*Quorum, error) { return nil, errors.New("not yet") }

// Submit has the active controller decide a command, and returns its answer (package controller says which) after its
// events are applied here and all watchers of this node have seen them.
func (q *Quorum) Submit(ctx context.Context, c controller.Command) (any, error) { return nil, nil }

// Image is the newest image that was applied here.
func (q *Quorum) Image() *controller.Image { return nil }

// Watch calls f with the current image and Changes.All as soon as the quorum is ready, and then with every later image, in
// order, from one goroutine. What f does holds up Submit's answers.
func (q *Quorum) Watch(f func(next *controller.Image, c controller.Changes)) {}

// Leader is the active controller's node id and epoch.
func (q *Quorum) Leader() (id, epoch int32, ok bool) { return 0, 0, false }

// WaitReady returns when a leader is known and everything committed before is applied here.
func (q *Quorum) WaitReady(ctx context.Context) error { return nil }

// Close stops and closes the listener.
func (q *Quorum) Close() error { return nil }

// HasState says whether a raft directory holds the state of a quorum.
func HasState(fs env.FS, dir string) (bool, error) { return false, nil }
