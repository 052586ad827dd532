package controller

import (
	"slices"
	"strconv"
)

// minISR is the property that says how many replicas an acknowledged record is on.
const minISR = "min.insync.replicas"

// prepareEligibleReplicas makes it safe to keep ELRs, as Kafka does: who is eligible depends on min.insync.replicas, which
// must therefore be the same on all brokers. So the cluster gets a value of its own, and brokers lose theirs.
func (d *decision) prepareEligibleReplicas() {
	cluster := ConfigResource{Kind: BrokerConfig}
	if _, set := d.img.Config(BrokerConfig, "")[minISR]; !set {
		value := strconv.Itoa(max(1, d.defaults.MinInSyncReplicas))
		d.emit(&ConfigChanged{Resource: cluster, Key: minISR, Value: &value})
	}
	for name := range d.img.ConfigNames(BrokerConfig) {
		if _, set := d.img.Config(BrokerConfig, name)[minISR]; set && name != "" {
			d.emit(&ConfigChanged{Resource: ConfigResource{BrokerConfig, name}, Key: minISR})
		}
	}
}

// dropNeedlessELR empties the ELRs of partitions whose ISR is large enough, after a change of min.insync.replicas.
func (d *decision) dropNeedlessELR() error {
	if d.img.Features()[EligibleReplicas] == 0 || !slices.ContainsFunc(d.events, func(e Event) bool {
		c, ok := e.(*ConfigChanged)
		return ok && c.Key == minISR
	}) {
		return nil
	}
	if err := d.settle(); err != nil {
		return err
	}
	for t := range d.img.Topics() {
		for _, p := range t.Partitions {
			if len(p.ELR) == 0 || len(p.ISR) < min(rulesOf(d.img, d.defaults, t).minISR, len(p.Replicas)) {
				continue
			}
			n := *p
			n.ELR, n.LastKnownELR = nil, nil
			n.PartitionEpoch++
			d.emit(&PartitionChanged{Topic: t.ID, Partition: n})
		}
	}
	return nil
}
