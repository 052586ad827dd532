package quorum

import (
	"io"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// transport is raft's network transport with three additions: it tells the stream which server it means, not only at which
// address, it notes how far the logs of others are, and it can hand this node a message from itself.
type transport struct {
	*raft.NetworkTransport
	progress *progress
	messages chan raft.RPC
	closing  chan struct{}
	once     sync.Once
	done     chan struct{}
}

const (
	rpcTimeout      = 10 * time.Second
	connectionsPeer = 3
)

func newTransport(s *stream, p *progress, log hclog.Logger) *transport {
	t := &transport{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: s, MaxPool: connectionsPeer, Timeout: rpcTimeout, Logger: log, MsgpackUseNewTimeFormat: true,
		}),
		progress: p,
		messages: make(chan raft.RPC),
		closing:  make(chan struct{}),
		done:     make(chan struct{}),
	}
	go t.forward()
	return t
}

func (t *transport) forward() {
	defer close(t.done)
	for {
		select {
		case m := <-t.NetworkTransport.Consumer():
			select {
			case t.messages <- m:
			case <-t.closing:
				return
			}
		case <-t.closing:
			return
		}
	}
}

// Consumer is as raft.Transport says.
func (t *transport) Consumer() <-chan raft.RPC { return t.messages }

// campaign hands this node a TimeoutNow from itself: stand for election without waiting for a leader to be silent. It is
// for a node that is the only voter, so there is nobody to wait for (leadership takes a fraction of a millisecond, with the
// same timeouts as in a quorum of many), and for voters whose leader's process is surely dead.
func (t *transport) campaign(id raft.ServerID, protocol raft.ProtocolVersion) {
	request := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
		ProtocolVersion: protocol, ID: []byte(id), Addr: []byte(t.LocalAddr()),
	}}
	select {
	case t.messages <- raft.RPC{Command: request, RespChan: make(chan raft.RPCResponse, 1)}:
	case <-t.closing:
	}
}

// Close is as raft.WithClose says.
func (t *transport) Close() error {
	t.once.Do(func() { close(t.closing) })
	err := t.NetworkTransport.Close()
	<-t.done
	return err
}

func exact(id raft.ServerID, target raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(id) + "@" + target
}

// AppendEntriesPipeline is as raft.Transport says.
func (t *transport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	p, err := t.NetworkTransport.AppendEntriesPipeline(id, exact(id, target))
	if err != nil {
		return nil, err
	}
	return t.progress.pipeline(id, p), nil
}

// AppendEntries is as raft.Transport says.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	sent := t.progress.now()
	err := t.NetworkTransport.AppendEntries(id, exact(id, target), args, resp)
	if err == nil {
		t.progress.note(id, sent, args, resp)
	}
	return err
}

// RequestVote is as raft.Transport says.
func (t *transport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	return t.NetworkTransport.RequestVote(id, exact(id, target), args, resp)
}

// RequestPreVote is as raft.WithPreVote says.
func (t *transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return t.NetworkTransport.RequestPreVote(id, exact(id, target), args, resp)
}

// InstallSnapshot is as raft.Transport says.
func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	return t.NetworkTransport.InstallSnapshot(id, exact(id, target), args, resp, data)
}

// TimeoutNow is as raft.Transport says.
func (t *transport) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return t.NetworkTransport.TimeoutNow(id, exact(id, target), args, resp)
}
