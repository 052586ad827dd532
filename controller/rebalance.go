package controller

import (
	"github.com/streambus/streambus/internal/machine"
)

// rebalanceKey is the timer at which leadership goes back to the preferred replicas.
const rebalanceKey = "leaders"

// mostRebalanced bounds the elections of one batch, as Kafka does; the rest follows in the next.
const mostRebalanced = 1000

// rebalanceLater sets the timer, if there is anything to look after.
func (d *decision) rebalanceLater() {
	if every := d.defaults.RebalanceInterval; every > 0 {
		d.timers = append(d.timers, machine.Timer{Key: rebalanceKey, At: d.now.Add(every)})
	}
}

// rebalanceTimer gives leadership back to preferred replicas that are in sync (auto.leader.rebalance.enable). As in Kafka
// since KRaft every such partition counts, however few they are.
func (d *decision) rebalanceTimer() {
	e, moved := d.election(), 0
	for t := range d.img.Topics() {
		for _, p := range t.Partitions {
			next := e.preferred(p)
			if next == nil {
				continue
			}
			if moved == mostRebalanced {
				d.timers = append(d.timers, machine.Timer{Key: rebalanceKey, At: d.now})
				return
			}
			d.emit(&PartitionChanged{Topic: t.ID, Partition: *next})
			moved++
		}
	}
	d.rebalanceLater()
}
