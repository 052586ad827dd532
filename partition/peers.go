package partition

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/peer"
)

// Peers carries requests to other nodes. Lanes are separate connections: requests of one lane are answered in order.
type Peers interface {
	// Fetch asks a node for records, and calls then once with the answer, from any goroutine, also before it returns. Those of the
	// answer are valid until its release is called, which is owed if there is no error.
	Fetch(ctx context.Context, node int32, lane int, req *kmsg.FetchRequest, then func(Fetched))
	// Do asks a node anything else.
	Do(ctx context.Context, node int32, lane int, req kmsg.Request) (kmsg.Response, error)
}

// Fetched is what came of a Fetch.
type Fetched struct {
	Response *kmsg.FetchResponse
	Release  func()
	Err      error
}

// Quorum takes commands to the active controller, whichever node that is. It is called from goroutines of the Manager's,
// never from within Apply.
type Quorum interface {
	Submit(ctx context.Context, c controller.Command) (any, error)
}

// The lanes of Peers that followers use: one for questions about offsets, and from FetchLane on num.replica.fetchers for
// fetches.
const (
	OffsetsLane = 15
	FetchLane   = 16
)

// PeersOf makes Peers of a pool of connections.
func PeersOf(p *peer.Pool) Peers { return pooled{p} }

type pooled struct{ *peer.Pool }

func (p pooled) Fetch(ctx context.Context, node int32, lane int, req *kmsg.FetchRequest, then func(Fetched)) {
	p.FetchThen(ctx, node, lane, req, func(resp *kmsg.FetchResponse, frame *peer.Frame, err error) {
		if err != nil {
			then(Fetched{Err: err})
			return
		}
		then(Fetched{Response: resp, Release: frame.Release})
	})
}

// replicaSettings are the broker's settings of replication.
type replicaSettings struct {
	lag           time.Duration // replica.lag.time.max.ms
	lanes         int           // num.replica.fetchers
	partitionSize int32         // replica.fetch.max.bytes
	responseSize  int32         // replica.fetch.response.max.bytes
	minBytes      int32         // replica.fetch.min.bytes
	wait          time.Duration // replica.fetch.wait.max.ms
	backoff       time.Duration // replica.fetch.backoff.ms
}

func readReplicaSettings(c *config.Config) replicaSettings {
	return replicaSettings{
		lag:           c.Duration("replica.lag.time.max.ms"),
		lanes:         max(int(c.Int("num.replica.fetchers")), 1),
		partitionSize: int32(c.Int("replica.fetch.max.bytes")),
		responseSize:  int32(c.Int("replica.fetch.response.max.bytes")),
		minBytes:      int32(c.Int("replica.fetch.min.bytes")),
		wait:          c.Duration("replica.fetch.wait.max.ms"),
		backoff:       c.Duration("replica.fetch.backoff.ms"),
	}
}
