package config

import (
	"maps"
	"slices"
	"strings"
)

// Dynamic is what is set on brokers while they run, as it was written: Kafka's broker scope, per broker and for the cluster.
type Dynamic struct {
	Broker  map[string]string // of this broker; wins
	Cluster map[string]string // of all brokers
}

// overlay is a Dynamic that was checked: what lies over the values from the start. It never changes.
type overlay struct {
	dynamic Dynamic
	values  map[string]value
}

// SetDynamic puts what was set while the broker runs over the values from its start, in place of what was there before. The
// maps are kept: don't change them. What can't be used (a bad value, a property that takes no change) is left out and
// returned by name, without its value; it may come from a cluster of another version. Any goroutine may call it, and those
// who read see all of it or nothing.
func (c *Config) SetDynamic(d Dynamic) (bad []string) {
	o := &overlay{dynamic: d, values: map[string]value{}}
	for _, layer := range []struct {
		set    map[string]string
		origin Origin
	}{{d.Cluster, OriginCluster}, {d.Broker, OriginBroker}} {
		for _, name := range slices.Sorted(maps.Keys(layer.set)) {
			k, known := Lookup(name)
			switch {
			case !known: // of one listener, a rate of throttling or a plugin's
				continue
			case k.Update == ReadOnly || layer.origin == OriginCluster && k.Update == PerBroker:
				bad = append(bad, name)
				continue
			}
			parsed, err := k.checkSet(layer.set[name])
			if err != nil {
				bad = append(bad, name)
				continue
			}
			o.values[name] = value{text: format(parsed), parsed: parsed, origin: layer.origin, source: "set while the broker runs", isSet: true}
		}
	}
	c.overlay.Store(o)
	return bad
}

// Dynamic is what SetDynamic was given last. The maps must not be changed.
func (c *Config) Dynamic() Dynamic {
	if o := c.overlay.Load(); o != nil {
		return o.dynamic
	}
	return Dynamic{}
}

// throttles are the properties that a broker has only while it runs.
var throttles = finish([]Key{
	{Name: "follower.replication.throttled.rate", Type: Long, Default: "9223372036854775807", Valid: atLeast(0), Update: PerBroker, Meaning: Served,
		Doc: "Bytes a second at which throttled replicas of this broker fetch."},
	{Name: "leader.replication.throttled.rate", Type: Long, Default: "9223372036854775807", Valid: atLeast(0), Update: PerBroker, Meaning: Served,
		Doc: "Bytes a second at which throttled replicas are read from this broker."},
	{Name: "replica.alter.log.dirs.io.max.bytes.per.second", Type: Long, Default: "9223372036854775807", Valid: atLeast(0), Update: PerBroker, Meaning: Served,
		Doc: "Bytes a second at which replicas move between the directories of this broker."},
}, BrokerScope)

// lookupDynamic finds what a property that is set on a running broker is: its row, or that of the property that
// "listener.name.NAME." stands before. False for what nobody here knows, which may be a plugin's.
func lookupDynamic(name string) (k *Key, listener bool, ok bool) {
	if k, ok := Lookup(name); ok {
		return k, false, true
	}
	for i := range throttles {
		if throttles[i].Name == name {
			return &throttles[i], false, true
		}
	}
	base, ok := listenerBase(name)
	if !ok {
		return nil, false, false
	}
	if k, ok = Lookup(base); ok {
		return k, true, true
	}
	for _, of := range []string{"sasl.jaas.config", "sasl.login.callback.handler.class", "sasl.login.class",
		"sasl.server.callback.handler.class", "connections.max.reauth.ms"} {
		if strings.HasSuffix(base, "."+of) { // of one mechanism
			k, ok = Lookup(of)
			return k, true, ok
		}
	}
	return nil, true, false
}

// listenerBase is what follows "listener.name.NAME." in a property's name.
func listenerBase(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, "listener.name.")
	if !ok {
		return "", false
	}
	_, base, ok := strings.Cut(rest, ".")
	return base, ok && base != ""
}

// KnownDynamic says whether a name that is set on a running broker means anything to Kafka's brokers.
func KnownDynamic(name string) bool {
	_, listener, ok := lookupDynamic(name)
	return ok || listener
}
