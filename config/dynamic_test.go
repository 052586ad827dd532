package config

import (
	"slices"
	"testing"
	"time"
)

func TestValuesSetWhileRunningWinAndGoAgain(t *testing.T) {
	c := load(t, Sources{File: "max.connections=10\nlog.retention.hours=1\n"})
	if bad := c.SetDynamic(Dynamic{
		Broker:  map[string]string{"max.connections": "30"},
		Cluster: map[string]string{"max.connections": "20", "log.retention.ms": "5000", "log.cleanup.policy": "compact,compact"},
	}); bad != nil {
		t.Fatal(bad)
	}
	topic, err := c.Topic(nil)
	if err != nil || topic.Retention != 5*time.Second || !topic.CleanupCompact || topic.CleanupDelete {
		t.Errorf("%+v %v", topic, err)
	}
	if c.Int("max.connections") != 30 || c.Origin("max.connections") != OriginBroker || c.Origin("log.retention.ms") != OriginCluster {
		t.Error(c.Int("max.connections"), c.Origin("max.connections"))
	}
	c.SetDynamic(Dynamic{})
	if topic, _ = c.Topic(nil); topic.Retention != time.Hour || c.Int("max.connections") != 10 {
		t.Errorf("%+v", topic)
	}
}

func TestWhatCannotBeUsedIsLeftOutByName(t *testing.T) {
	c := load(t, Sources{})
	bad := c.SetDynamic(Dynamic{
		Broker:  map[string]string{"num.partitions": "7", "log.retention.ms": "x", "some.plugin": "1"},
		Cluster: map[string]string{"sasl.enabled.mechanisms": "PLAIN", "message.max.bytes": "7"},
	})
	if !slices.Equal(bad, []string{"sasl.enabled.mechanisms", "log.retention.ms", "num.partitions"}) {
		t.Error(bad)
	}
	if c.Int("num.partitions") != 1 || c.IsSet("log.retention.ms") || c.Int("message.max.bytes") != 7 {
		t.Error("a bad value is in effect, or a good one is not")
	}
}

func TestBrokersTakeOnlyWhatCanChangeWhileTheyRun(t *testing.T) {
	c := load(t, Sources{File: "listeners=PLAINTEXT://127.0.0.1:9\n"})
	for _, row := range []struct {
		name, value string
		perBroker   bool
		text        string // empty: taken
	}{
		{"num.io.threads", "9", true, ""},
		{"message.max.bytes", "9", false, ""},
		{"num.partitions", "5", true, "Cannot update these configs dynamically: [num.partitions]"},
		{"log.flush.policy", "never", false, "Cannot update these configs dynamically: [log.flush.policy]"},
		{"ssl.keystore.location", "9", true, "These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.location]"},
		{"listener.name.plaintext.ssl.keystore.location", "9", true, ""},
		{"listener.name.plaintext.ssl.keystore.location", "9", false, "Cannot update these configs at default cluster level, broker id must be specified: [listener.name.plaintext.ssl.keystore.location]"},
		{"listener.name.plaintext.max.connections", "50", false, ""},
		{"listener.name.plaintext.max.connections", "x", false, "Invalid value x for configuration max.connections: Not a number of type INT"},
		{"sasl.jaas.config", "9", false, "Cannot update these configs at default cluster level, broker id must be specified: [sasl.jaas.config]"},
		{"log.retention.ms", "abc", true, "Invalid value abc for configuration log.retention.ms: Not a number of type LONG"},
		{"log.retention.ms", "0", true, "log.retention.ms must be unlimited (-1) or, greater than or equal to 1"},
		{"log.cleanup.policy", "bad", true, "Invalid value bad for configuration log.cleanup.policy: String must be one of: compact, delete"},
		{"leader.replication.throttled.rate", "-2", true, "Invalid value -2 for configuration leader.replication.throttled.rate: Value must be at least 0"},
		{"listeners", "PLAINTEXT://127.0.0.1:9", true, ""},
		{"listeners", "PLAINTEXT://127.0.0.1:10", true, "listeners can't be changed while the broker runs: start it anew with the new value"},
		{"max.connections.per.ip.overrides", "h:5,i:6", true, ""},
		{"max.connections.per.ip.overrides", "h:b", true, "Invalid value h:b for configuration max.connections.per.ip.overrides: it must be host:number pairs divided by commas"},
		{"a.plugins.own", "x", true, ""},
	} {
		err := c.CheckDynamic(map[string]string{row.name: row.value}, row.perBroker)
		if got := text(err); got != row.text {
			t.Errorf("%s=%s: %q, want %q", row.name, row.value, got, row.text)
		}
	}
	err := c.CheckDynamic(map[string]string{"listener.name.a.plain.sasl.jaas.config": "secret", "log.dirs": "x", "broker.id": "2"}, true)
	if text(err) != "Cannot update these configs dynamically: [broker.id, log.dirs]" {
		t.Error(err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func described(list []Described) map[string]Described {
	m := map[string]Described{}
	for _, d := range list {
		m[d.Name] = d
	}
	return m
}

// shown is a described value with its synonyms in one line.
func shown(d Described) string {
	value := func(v *string) string {
		if v == nil {
			return "null"
		}
		return *v
	}
	out := value(d.Value) + string(rune('0'+d.Source))
	for _, s := range d.Synonyms {
		out += " " + s.Name + "=" + value(s.Value) + string(rune('0'+s.Source))
	}
	return out
}

func TestDescribedValuesHaveTheirSynonymsInKafkasOrder(t *testing.T) {
	c := load(t, Sources{File: "message.max.bytes=5000\nlog.retention.minutes=7\ndelegation.token.secret.key=s3cret\n"})
	c.SetDynamic(Dynamic{
		Broker:  map[string]string{"log.cleanup.policy": "compact", "listener.name.x.sasl.jaas.config": "s3cret", "some.plugin": "1"},
		Cluster: map[string]string{"log.cleanup.policy": "delete,compact", "log.retention.ms": "9", "leader.replication.throttled.rate": "4"},
	})
	for name, want := range map[string]string{
		"log.cleanup.policy":                "compact2 log.cleanup.policy=compact2 log.cleanup.policy=delete,compact3 log.cleanup.policy=delete5",
		"log.retention.ms":                  "93 log.retention.ms=93 log.retention.minutes=74 log.retention.hours=1685",
		"log.retention.minutes":             "74 log.retention.minutes=74 log.retention.hours=1685",
		"message.max.bytes":                 "50004 message.max.bytes=50004 message.max.bytes=10485885",
		"log.roll.ms":                       "null5",
		"num.partitions":                    "15 num.partitions=15",
		"delegation.token.secret.key":       "null4 delegation.token.secret.key=null4",
		"listener.name.x.sasl.jaas.config":  "null2 listener.name.x.sasl.jaas.config=null2",
		"leader.replication.throttled.rate": "43 leader.replication.throttled.rate=43",
	} {
		d := described(c.DescribeBroker())[name]
		if got := shown(d); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	all := described(c.DescribeBroker())
	if _, there := all["some.plugin"]; there || !all["num.partitions"].ReadOnly || all["log.retention.ms"].ReadOnly {
		t.Error("read-only properties are told wrongly, or unknown ones are told")
	}
	if _, there := all["unstable.api.versions.enable"]; there {
		t.Error("an internal property is told that nobody set")
	}
	for name := range internalKeys {
		if _, ok := Lookup(name); !ok {
			t.Errorf("no property %s", name)
		}
	}
	topic := described(c.DescribeTopic(map[string]string{"cleanup.policy": " compact , compact", "segment.ms": "5"}))
	for name, want := range map[string]string{
		"cleanup.policy":        "compact1 cleanup.policy=compact1 log.cleanup.policy=compact2 log.cleanup.policy=delete,compact3 log.cleanup.policy=delete5",
		"retention.ms":          "93 log.retention.ms=93 log.retention.minutes=74 log.retention.hours=1685",
		"segment.ms":            "51 segment.ms=51",
		"segment.jitter.ms":     "05",
		"remote.storage.enable": "false5",
		"max.message.bytes":     "50004 message.max.bytes=50004 message.max.bytes=10485885",
	} {
		if got := shown(topic[name]); got != want {
			t.Errorf("topic's %s: %s, want %s", name, got, want)
		}
	}
}

func TestGroupsHaveTheBrokersValuesUntilTheyAreSet(t *testing.T) {
	c := load(t, Sources{File: "group.consumer.session.timeout.ms=46000\n"})
	group := described(c.DescribeGroup(map[string]string{"consumer.heartbeat.interval.ms": "6000", "share.auto.offset.reset": "earliest"}))
	for name, want := range map[string]string{
		"consumer.session.timeout.ms":    "460004 group.consumer.session.timeout.ms=460004 group.consumer.session.timeout.ms=450005",
		"consumer.heartbeat.interval.ms": "60008 consumer.heartbeat.interval.ms=60008 group.consumer.heartbeat.interval.ms=50005",
		"share.auto.offset.reset":        "earliest8 share.auto.offset.reset=earliest8 share.auto.offset.reset=latest5",
		"share.isolation.level":          "read_uncommitted5 share.isolation.level=read_uncommitted5",
	} {
		if got := shown(group[name]); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if len(group) != 17 {
		t.Errorf("%d properties", len(group))
	}
	metrics := described(DescribeClientMetrics(map[string]string{"interval.ms": "100"}))
	if len(metrics) != 3 || shown(metrics["interval.ms"]) != "1007 interval.ms=1007" || shown(metrics["match"]) != "5" {
		t.Error(metrics)
	}
}

func TestGroupValuesAreBoundedByTheBroker(t *testing.T) {
	c := load(t, Sources{})
	for _, row := range [][3]string{
		{"consumer.session.timeout.ms", "50000", ""},
		{"consumer.session.timeout.ms", "5", "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms"},
		{"consumer.session.timeout.ms", "500000", "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms"},
		{"consumer.session.timeout.ms", "x", "Invalid value x for configuration consumer.session.timeout.ms: Not a number of type INT"},
		{"nonsense", "1", "Unknown group config name: nonsense"},
		{"share.auto.offset.reset", "by_duration:PT1H", ""},
		{"share.auto.offset.reset", "by_duration:-PT1H", "Invalid value by_duration:-PT1H for configuration share.auto.offset.reset: Invalid value `by_duration:-PT1H` for configuration share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."},
		{"share.isolation.level", "bad", "Invalid value bad for configuration share.isolation.level: String must be one of: read_committed, read_uncommitted"},
		{"share.delivery.count.limit", "1", "Invalid value 1 for configuration share.delivery.count.limit: Value must be at least 2"},
		{"streams.num.standby.replicas", "100", "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas"},
	} {
		if got := text(c.CheckGroup(map[string]string{row[0]: row[1]})); got != row[2] {
			t.Errorf("%s=%s: %q, want %q", row[0], row[1], got, row[2])
		}
	}
	wide := load(t, Sources{File: "group.consumer.min.session.timeout.ms=1\n"})
	if got := text(wide.CheckGroup(map[string]string{"consumer.session.timeout.ms": "5000"})); got != "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms" {
		t.Error(got)
	}
}

func TestSubscriptionsToClientMetricsAreChecked(t *testing.T) {
	for _, row := range []struct {
		name, value string
		request     bool
		text        string
	}{
		{"interval.ms", "100", false, ""},
		{"interval.ms", "99", true, "Invalid value 99 for interval.ms, interval must be between 100 and 3600000 (1 hour)"},
		{"interval.ms", "x", false, "Invalid value x for configuration interval.ms: Not a number of type INT"},
		{"match", "client_id=b,client_software_name=Java", false, ""},
		{"match", "a=b", false, "Illegal client matching pattern: a=b"},
		{"match", "client_id=[", false, "Illegal client matching pattern: client_id=["},
		{"match", "client_id=b=c", false, "Illegal client matching pattern: client_id=b=c"},
		{"metrics", "*", false, ""},
		{"nonsense", "1", true, "Unknown client metrics configuration: nonsense"},
	} {
		request, err := CheckClientMetrics(map[string]string{row.name: row.value})
		if text(err) != row.text || err != nil && request != row.request {
			t.Errorf("%s=%s: %v %v", row.name, row.value, request, err)
		}
	}
}
