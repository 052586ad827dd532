package node

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/streambus/streambus/controller"
)

// Stop drains and ends the node: no new connections, requests in flight are answered until ctx ends, then everything is
// closed in an order that leaves a clean directory. It may be called more than once.
func (n *Node) Stop(ctx context.Context) error {
	n.stop.Do(func() {
		n.end(errStopped)
		n.stopErr = n.close(ctx)
	})
	return n.stopErr
}

// close takes down whatever is up, from the clients inwards.
func (n *Node) close(ctx context.Context) error {
	var errs []error
	keep := func(err error) {
		if err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if n.server != nil {
		if n.handOver(ctx) {
			n.server.Linger(ctx, lingerQuiet, lingerTime)
		}
		keep(n.server.Drain(ctx))
		n.server.Close()
	}
	for _, l := range n.clients {
		keep(l.Close())
	}
	if n.groups != nil {
		n.groups.Close()
	}
	if n.manager != nil {
		n.manager.Close()
	}
	if n.peers != nil {
		n.peers.Close()
	}
	for e := range n.engines {
		if err := e.Close(); e.Failed() == nil || n.alive() != nil {
			keep(err) // of one that has failed while others go on was told before
		}
	}
	if n.quorum != nil {
		keep(n.quorum.Close())
	}
	if n.admin != nil {
		keep(n.admin.Close(ctx))
	} else if n.adminLis != nil {
		keep(n.adminLis.Close())
	}
	n.running.Wait()
	for _, d := range n.dirs {
		if d.dir != nil {
			keep(d.dir.Close())
		}
	}
	return errors.Join(errs...)
}

// handOverTime is what moving leadership may take of a stop: a quorum that can't commit must not keep clients from being
// drained.
const handOverTime = 5 * time.Second

// Clients that come with what another broker leads now are told so, and go there. One whose connection is closed instead, or
// who finds nobody there, waits for its back-off first. So the doors stay open until no request has come for lingerQuiet, for
// lingerTime at most.
const (
	lingerQuiet = 50 * time.Millisecond
	lingerTime  = 500 * time.Millisecond
)

// handOver asks the controller to move leadership to other replicas before the doors close, and then, as Kafka does, to
// fence this broker: clients must not be sent to it any more. The last broker has nobody to hand anything to, and may have
// no controller to ask any more. It says whether others may lead now what this one did.
func (n *Node) handOver(ctx context.Context) bool {
	if n.lastBroker() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, handOverTime)
	defer cancel()
	n.quorum.StepDown() // the active controller hears of new leaders before they do, and would send clients to them too early
	_, err := n.quorum.Submit(ctx, controller.BrokerHeartbeat{ID: n.set.nodeID, Epoch: n.epoch, WantShutdown: true})
	if err == nil {
		_, err = n.quorum.Submit(ctx, controller.FenceBroker{ID: n.set.nodeID, Epoch: n.epoch})
	}
	if err != nil {
		n.log.Warn("leadership was not handed over", "error", err)
	}
	return err == nil
}

func (n *Node) lastBroker() bool {
	for b := range n.quorum.Image().Brokers() {
		if b.ID != n.set.nodeID && b.Active() {
			return false
		}
	}
	return true
}
