package config

// groupConfigKeys are the properties of one group (KIP-848, KIP-932, KIP-1071). Where a synonym is named, the broker's
// property of that name is the default.
var groupConfigKeys = []Key{
	{Name: "consumer.assignment.interval.ms", Type: Int, Default: "1000", Valid: atLeast(0)},
	{Name: "consumer.heartbeat.interval.ms", Type: Int, Default: "5000", Valid: atLeast(1)},
	{Name: "consumer.session.timeout.ms", Type: Int, Default: "45000", Valid: atLeast(1)},
	{Name: "share.assignment.interval.ms", Type: Int, Default: "1000", Valid: atLeast(0)},
	{Name: "share.auto.offset.reset", Type: String, Default: "latest", Valid: offsetReset{},
		Doc: "Where a share group begins: latest, earliest, or by_duration: and how long ago, as in ISO 8601."},
	{Name: "share.delivery.count.limit", Type: Int, Default: "5", Valid: atLeast(2)},
	{Name: "share.heartbeat.interval.ms", Type: Int, Default: "5000", Valid: atLeast(1)},
	{Name: "share.isolation.level", Type: String, Default: "read_uncommitted", Valid: oneOf{"read_committed", "read_uncommitted"},
		Doc: "Whether a share group is given the records of transactions that are not committed."},
	{Name: "share.partition.max.record.locks", Type: Int, Default: "2000", Valid: atLeast(100)},
	{Name: "share.record.lock.duration.ms", Type: Int, Default: "30000", Valid: atLeast(1000)},
	{Name: "share.renew.acknowledge.enable", Type: Boolean, Default: "true",
		Doc: "Whether members of a share group may renew their locks on records."},
	{Name: "share.session.timeout.ms", Type: Int, Default: "45000", Valid: atLeast(1)},
	{Name: "streams.assignment.interval.ms", Type: Int, Default: "1000", Valid: atLeast(0)},
	{Name: "streams.heartbeat.interval.ms", Type: Int, Default: "5000", Valid: atLeast(1)},
	{Name: "streams.initial.rebalance.delay.ms", Type: Int, Default: "3000", Valid: atLeast(0)},
	{Name: "streams.num.standby.replicas", Type: Int, Default: "0", Valid: atLeast(0)},
	{Name: "streams.session.timeout.ms", Type: Int, Default: "45000", Valid: atLeast(1)},
}

// groupBounds are the broker's properties that bound those of groups, in the order in which Kafka checks them.
var groupBounds = []struct{ name, least, most string }{
	{"consumer.heartbeat.interval.ms", "group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"},
	{"consumer.session.timeout.ms", "group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"},
	{"consumer.assignment.interval.ms", "group.consumer.min.assignment.interval.ms", "group.consumer.max.assignment.interval.ms"},
	{"share.heartbeat.interval.ms", "group.share.min.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms"},
	{"share.session.timeout.ms", "group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms"},
	{"share.record.lock.duration.ms", "group.share.min.record.lock.duration.ms", "group.share.max.record.lock.duration.ms"},
	{"share.delivery.count.limit", "group.share.min.delivery.count.limit", "group.share.max.delivery.count.limit"},
	{"share.partition.max.record.locks", "group.share.min.partition.max.record.locks", "group.share.max.partition.max.record.locks"},
	{"share.assignment.interval.ms", "group.share.min.assignment.interval.ms", "group.share.max.assignment.interval.ms"},
	{"streams.heartbeat.interval.ms", "group.streams.min.heartbeat.interval.ms", "group.streams.max.heartbeat.interval.ms"},
	{"streams.session.timeout.ms", "group.streams.min.session.timeout.ms", "group.streams.max.session.timeout.ms"},
	{"streams.assignment.interval.ms", "group.streams.min.assignment.interval.ms", "group.streams.max.assignment.interval.ms"},
	{"streams.num.standby.replicas", "", "group.streams.max.standby.replicas"},
}

// clientMetricsKeys are the properties of a subscription to the metrics of clients (KIP-714).
var clientMetricsKeys = []Key{
	{Name: "interval.ms", Type: Int, Default: "300000", Doc: "How often clients push the metrics."},
	{Name: "match", Type: List, Doc: "Which clients it is for: name=pattern pairs, all of which must hold."},
	{Name: "metrics", Type: List, Doc: "Prefixes of the names of the metrics; * is all."},
}

// entityTable finishes the rows of groups or of client metrics.
func entityTable(rows []Key, scope Scope) []Key {
	for i := range rows {
		k := &rows[i]
		k.Meaning = Accepted
		if scope != GroupScope {
			continue
		}
		if of, ok := lookupIn(table, "group."+k.Name); ok {
			k.Synonyms, k.Doc = []string{of.Name}, of.Doc
		}
	}
	return finish(rows, scope)
}

func lookupIn(rows []Key, name string) (*Key, bool) {
	for i := range rows {
		if rows[i].Name == name {
			return &rows[i], true
		}
	}
	return nil, false
}
