// Package shard drives pure machines over partitions: a coordinator's state lives in a partition of an internal topic, and
// whoever leads that partition runs the machine. A Host holds the shards of one topic on this node. It loads a machine by
// replay when this node begins to lead, gives it inputs one after another, appends what it decides, replays it, and lets
// answers go only when the high watermark has passed what they rely on.
//
// It never knows what a machine is about, never speaks the wire protocol, and decides nothing that a machine could. It is
// driven by the quorum's watcher (Host.Apply, after partition.Manager.Apply), by the broker's requests (Submit, Each), by
// partitions whose high watermark moves, and by timers that machines ask for. A shard has a goroutine only while it has
// something to do.
//
// Read machine.go for what is driven, then host.go, then run.go: the loop.
package shard
