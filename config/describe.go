package config

import (
	"maps"
	"slices"
)

// Source says where a value comes from, with the numbers of DescribeConfigs (KIP-226).
type Source int8

// Sources.
const (
	SourceTopic         Source = 1
	SourceBroker        Source = 2 // set on this broker while it runs
	SourceCluster       Source = 3 // set on all brokers while they run
	SourceStatic        Source = 4 // given at the broker's start
	SourceDefault       Source = 5
	SourceLogger        Source = 6
	SourceClientMetrics Source = 7
	SourceGroup         Source = 8
)

// Synonym is a place where a value is set or might be. Value is nil where it must not be shown.
type Synonym struct {
	Name   string
	Value  *string
	Source Source
}

// Described is a property with its effective value, as DescribeConfigs tells it.
type Described struct {
	Name      string
	Value     *string // nil: none, or not to be shown
	Source    Source
	ReadOnly  bool
	Sensitive bool
	Type      Type
	Synonyms  []Synonym // all places that count, the strongest first
	Doc       string
}

// DescribeTopic lists every property of a topic that has these set.
func (c *Config) DescribeTopic(set map[string]string) []Described {
	out := make([]Described, 0, len(topicRows))
	for i := range topicRows {
		k := &topicRows[i]
		parsed, _, _ := c.topicDefault(k)
		var synonyms []Synonym
		if len(k.Synonyms) > 0 {
			synonyms = c.synonyms(k.Synonyms[0], namesOf(k.Synonyms[0]), false)
		}
		out = append(out, k.describe(set, parsed, SourceTopic, synonyms))
	}
	return out
}

// DescribeGroup lists every property of a group that has these set.
func (c *Config) DescribeGroup(set map[string]string) []Described {
	out := make([]Described, 0, len(groupRows))
	for i := range groupRows {
		k := &groupRows[i]
		if len(k.Synonyms) > 0 {
			out = append(out, k.describe(set, c.get(k.Synonyms[0]).parsed, SourceGroup, c.synonyms(k.Synonyms[0], k.Synonyms, false)))
			continue
		}
		parsed, _ := parse(k.Type, k.Default)
		own := []Synonym{{Name: k.Name, Value: &k.Default, Source: SourceDefault}}
		out = append(out, k.describe(set, parsed, SourceGroup, own))
	}
	return out
}

// DescribeClientMetrics lists every property of a subscription to clients' metrics that has these set.
func DescribeClientMetrics(set map[string]string) []Described {
	out := make([]Described, 0, len(clientMetricsRows))
	for i := range clientMetricsRows {
		k := &clientMetricsRows[i]
		parsed, _ := parse(k.Type, k.Default)
		out = append(out, k.describe(set, parsed, SourceClientMetrics, nil))
	}
	return out
}

// describe is a property of something that is not a broker: set on it, or with its default, behind which the synonyms stand.
func (k *Key) describe(set map[string]string, parsed any, own Source, synonyms []Synonym) Described {
	d := Described{Name: k.Name, Type: k.Type, Sensitive: k.Sensitive, Doc: k.Doc, Source: SourceDefault, Synonyms: synonyms}
	text, isSet := set[k.Name]
	if isSet {
		if p, err := k.checkSet(text); err == nil {
			text = format(p)
		}
	} else {
		text = format(parsed)
	}
	if !k.Sensitive {
		d.Value = &text
	}
	if isSet {
		d.Synonyms = slices.Insert(slices.Clone(synonyms), 0, Synonym{k.Name, d.Value, own})
	}
	if len(d.Synonyms) > 0 {
		d.Source = d.Synonyms[0].Source
	}
	return d
}

// namesOf are the names under which a broker property is looked for.
func namesOf(name string) []string {
	if names := brokerSynonyms[name]; names != nil && coarser[name] {
		return names
	}
	return []string{name}
}

// coarser are the properties that can be given in other units, which Kafka counts as the same property.
var coarser = map[string]bool{
	"log.retention.ms": true, "log.retention.minutes": true, "log.retention.hours": true, "log.roll.ms": true, "log.roll.hours": true,
	"log.roll.jitter.ms": true, "log.roll.jitter.hours": true, "log.flush.interval.ms": true,
}

// synonyms are the places of a broker property: by name within a kind of place, from the first that is its own.
func (c *Config) synonyms(of string, names []string, sensitive bool) []Synonym {
	d := c.Dynamic()
	var all []Synonym
	add := func(name, text string, source Source) {
		s := Synonym{Name: name, Source: source}
		if !sensitive {
			s.Value = &text
		}
		all = append(all, s)
	}
	for _, layer := range []struct {
		set    map[string]string
		source Source
	}{{d.Broker, SourceBroker}, {d.Cluster, SourceCluster}} {
		for _, name := range names {
			if text, ok := layer.set[name]; ok {
				add(name, text, layer.source)
			}
		}
	}
	for _, name := range names {
		if v := c.values[name]; v.isSet && v.origin != OriginDefault {
			add(name, v.text, SourceStatic)
		}
	}
	for _, name := range names {
		if k, ok := Lookup(name); ok && !k.NoDefault {
			add(name, k.defaultValue().text, SourceDefault)
		}
	}
	first := slices.IndexFunc(all, func(s Synonym) bool { return s.Name == of })
	if first < 0 {
		return nil
	}
	return all[first:]
}

// internalKeys are the properties that Kafka keeps to itself until somebody sets them.
var internalKeys = map[string]bool{
	"controller.performance.always.log.threshold.ms": true, "controller.performance.sample.period.ms": true,
	"group.consumer.regex.refresh.interval.ms": true, "group.share.initialize.retry.interval.ms": true,
	"group.share.persister.class.name": true, "internal.metadata.delete.delay.millis": true,
	"internal.metadata.log.segment.bytes": true, "internal.metadata.max.batch.size.in.bytes": true,
	"log.initial.task.delay.ms": true, "producer.id.expiration.check.interval.ms": true,
	"remote.log.index.file.cache.ttl.ms": true, "remote.log.manager.task.retry.backoff.max.ms": true,
	"remote.log.manager.task.retry.backoff.ms": true, "remote.log.manager.task.retry.jitter": true,
	"server.max.startup.time.ms": true, "share.coordinator.cold.partition.snapshot.interval.ms": true,
	"share.coordinator.state.topic.prune.interval.ms": true, "unclean.leader.election.interval.ms": true,
	"unstable.api.versions.enable": true, "unstable.feature.versions.enable": true,
}

// DescribeBroker lists every property of this broker, with what is set while it runs.
func (c *Config) DescribeBroker() []Described {
	var out []Described
	for i := range table {
		k := &table[i]
		if k.Scope != BrokerScope || internalKeys[k.Name] && c.values[k.Name].origin == OriginDefault {
			continue
		}
		out = append(out, c.describeBroker(k.Name, k, k.Update == ReadOnly))
	}
	d := c.Dynamic()
	extra := map[string]bool{}
	for _, set := range []map[string]string{d.Broker, d.Cluster} {
		for name := range set {
			if _, plain := Lookup(name); !plain {
				extra[name] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		if k, listener, ok := lookupDynamic(name); ok {
			out = append(out, c.describeBroker(name, k, listener))
		}
	}
	return out
}

func (c *Config) describeBroker(name string, k *Key, readOnly bool) Described {
	names := namesOf(name)
	if base, ok := listenerBase(name); ok {
		if _, plain := Lookup(base); plain {
			names = []string{name, base}
		}
	}
	d := Described{
		Name: name, Type: k.Type, ReadOnly: readOnly, Sensitive: k.Sensitive, Doc: k.Doc, Source: SourceDefault,
		Synonyms: c.synonyms(name, names, k.Sensitive),
	}
	if len(d.Synonyms) > 0 {
		d.Source, d.Value = d.Synonyms[0].Source, d.Synonyms[0].Value
	}
	if name == k.Name && !k.Sensitive {
		if v, ok := c.values[name]; ok {
			if o := c.overlay.Load(); o != nil {
				if over, ok := o.values[name]; ok {
					v = over
				}
			}
			if d.Value = nil; v.isSet {
				d.Value = &v.text
			}
		}
	}
	return d
}

// DescribeCluster lists what is set on all brokers while they run.
func (c *Config) DescribeCluster() []Described {
	set := c.Dynamic().Cluster
	var out []Described
	for _, name := range slices.Sorted(maps.Keys(set)) {
		k, listener, ok := lookupDynamic(name)
		if !ok {
			continue
		}
		d := Described{Name: name, Type: k.Type, ReadOnly: listener || k.Update == ReadOnly, Sensitive: k.Sensitive, Doc: k.Doc, Source: SourceCluster}
		if text := set[name]; !k.Sensitive {
			d.Value = &text
		}
		d.Synonyms = []Synonym{{name, d.Value, SourceCluster}}
		out = append(out, d)
	}
	return out
}
