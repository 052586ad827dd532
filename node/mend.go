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

// mend opens a damaged directory all the same, if other brokers have what it lacks. It registers as one that forgot: it leaves
// the ISRs, and as a follower cuts its logs below the damage and fetches the rest anew. What nobody else has is never given up
// without being told to.
func (n *Node) mend(context.Context) error {
	if n.damage == nil {
		return nil
	}
	logs, all := log.Damaged(n.damage)
	if id, alone := n.onlyHere(logs, all); alone {
		return fmt.Errorf("%w\nNo other broker in sync has %s. Start once with --set unsafe.accept.corruption=true to serve what is intact, or restore %s",
			n.damage, id, n.set.dir)
	}
	n.log.Error("the data directory is damaged: what it lacks is fetched from other brokers", "dir", n.set.dir, "error", n.damage)
	return n.openEngine(true)
}

// onlyHere finds a partition that may be damaged and that no other broker is in sync with, or eligible to lead.
func (n *Node) onlyHere(logs []kafkaproto.TopicPartition, all bool) (kafkaproto.TopicPartition, bool) {
	self := n.set.nodeID
	elsewhere := func(p *controller.Partition) bool {
		other := func(id int32) bool { return id != self }
		return !slices.Contains(p.Replicas, self) || slices.ContainsFunc(p.ISR, other) || slices.ContainsFunc(p.ELR, other)
	}
	for t := range n.quorum.Image().Topics() {
		for _, p := range t.Partitions {
			id := kafkaproto.TopicPartition{Topic: t.ID, Partition: p.ID}
			if (all || slices.Contains(logs, id)) && !elsewhere(p) {
				return id, true
			}
		}
	}
	return kafkaproto.TopicPartition{}, false
}

// openEngine recovers the engine in the directory. With accept what is damaged is given up.
func (n *Node) openEngine(accept bool) (err error) {
	o := engineOptions(n.o.Config, n.o.Env, n.dir)
	o.AcceptCorruption = o.AcceptCorruption || accept
	o.Events = n.metrics.LogEvents()
	recovered, corrupt := o.Events.Recovered, o.Events.Corruption
	o.Events.Recovered = func(r log.Recovery) {
		n.clean = r.Clean
		recovered(r)
	}
	o.Events.Corruption = func(e *log.CorruptionError) {
		n.forgot = true
		corrupt(e)
	}
	o.OnFailed = func(err error) { n.fail(fmt.Errorf("data directory %s failed: %w", n.set.dir, err)) }
	n.engine, err = log.Open(o)
	if errors.Is(err, log.ErrCorrupt) && !accept {
		n.damage = err // the quorum is asked who else has it
		return nil
	}
	if err == nil {
		n.engine.SetCleaning(cleaning(n.o.Config))
	}
	return err
}

// scrub has the files read again while they lie there. What is found damaged comes anew from another broker, if one has it.
func (n *Node) scrub() {
	if rate := n.o.Config.Int64("log.scrub.bytes.per.second"); rate > 0 {
		n.engine.Scrub(log.ScrubOptions{
			BytesPerSecond: rate, Interval: n.o.Config.Duration("log.scrub.interval.ms"), Damaged: n.manager.Suspect,
			Passed: func(files int, bytes int64) {
				n.log.Debug("all files were read again", "files", files, "bytes", bytes)
			},
		})
	}
}
