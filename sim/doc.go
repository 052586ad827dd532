// Package sim runs a whole cluster from one number: a seed. Each node has the real partition manager, storage engine, group
// coordinators and controller machine; what is outside of them is modelled here: clocks, disks, the network, raft, and the
// clients. The simulator owns time. It lets one thing happen (a timer, a message, the end of a disk operation, a fault), waits
// until every goroutine of the product has come to rest, and goes on with the next. So a seed is one run, and a run that
// breaks a promise can be had again.
//
// It never looks into the product to decide: checkers (check_*.go) know what clients were told and what the disks hold, and
// share no code with what they check. It is driven by its tests and by `make sim`; docs/HACKING.md says how to read what a
// failure prints.
//
// Read sim.go first: the loop; then plan.go: what a seed becomes; node.go, disk.go, network.go and quorum.go are the world,
// producer.go and member.go the clients, faults.go what goes wrong.
package sim
