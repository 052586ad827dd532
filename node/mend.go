package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

// mend opens damaged directories all the same, if other brokers have what they lack. It registers as one that forgot: it leaves
// the ISRs, and as a follower cuts its logs below the damage and fetches the rest anew. What nobody else has is never given up
// without being told to; with other directories the node starts without that one.
func (n *Node) mend(context.Context) error {
	for _, d := range n.dirs {
		if d.damage == nil {
			continue
		}
		if err := n.mendOne(d); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) mendOne(d *directory) error {
	logs, all := log.Damaged(d.damage)
	if id, alone := n.onlyHere(logs, all); alone {
		return n.goOffline(d, fmt.Errorf("%w\nNo other broker in sync has %s. Start once with --set unsafe.accept.corruption=true to serve what is intact, or restore %s",
			d.damage, id, d.path))
	}
	n.log.Error("the data directory is damaged: what it lacks is fetched from other brokers", "dir", d.path, "error", d.damage)
	return n.openEngine(d, true)
}

// onlyHere finds a partition that may be damaged and that no other broker is in sync with, or eligible to lead. What is known to
// be in another directory is not damaged.
func (n *Node) onlyHere(logs []kafkaproto.TopicPartition, all bool) (kafkaproto.TopicPartition, bool) {
	self := n.set.nodeID
	elsewhere := func(id kafkaproto.TopicPartition, p *controller.Partition) bool {
		other := func(id int32) bool { return id != self }
		for e := range n.engines {
			if e.Holds(id) {
				return true
			}
		}
		return !slices.Contains(p.Replicas, self) || slices.ContainsFunc(p.ISR, other) || slices.ContainsFunc(p.ELR, other)
	}
	for t := range n.quorum.Image().Topics() {
		for _, p := range t.Partitions {
			id := kafkaproto.TopicPartition{Topic: t.ID, Partition: p.ID}
			if (all || slices.Contains(logs, id)) && !elsewhere(id, p) {
				return id, true
			}
		}
	}
	return kafkaproto.TopicPartition{}, false
}

// openEngine recovers the engine in a directory. With accept what is damaged is given up.
func (n *Node) openEngine(d *directory, accept bool) error {
	o := engineOptions(n.o.Config, n.o.Env, d.dir)
	o.AcceptCorruption = o.AcceptCorruption || accept
	o.Events = n.metrics.LogEvents()
	recovered, corrupt := o.Events.Recovered, o.Events.Corruption
	o.Events.Recovered = func(r log.Recovery) {
		d.clean = r.Clean
		recovered(r)
	}
	o.Events.Corruption = func(e *log.CorruptionError) {
		n.forgot = true
		corrupt(e)
	}
	o.OnFailed = func(err error) { n.failed(d, err) }
	e, err := log.Open(o)
	n.dirsMu.Lock()
	d.engine = e
	n.dirsMu.Unlock()
	switch {
	case errors.Is(err, log.ErrCorrupt) && !accept:
		d.damage = err // the quorum is asked who else has it
		return nil
	case err != nil:
		return n.goOffline(d, err)
	}
	e.SetCleaning(cleaning(n.o.Config))
	return nil
}

// scrub has the files read again while they lie there. What is found damaged comes anew from another broker, if one has it.
func (n *Node) scrub() {
	if rate := n.o.Config.Int64("log.scrub.bytes.per.second"); rate > 0 {
		for e := range n.engines {
			e.Scrub(log.ScrubOptions{
				BytesPerSecond: rate, Interval: n.o.Config.Duration("log.scrub.interval.ms"), Damaged: n.manager.Suspect,
				Passed: func(files int, bytes int64) {
					n.log.Debug("all files were read again", "files", files, "bytes", bytes)
				},
			})
		}
	}
}
