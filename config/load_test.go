package config

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, s Sources) *Config {
	t.Helper()
	c, _, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNoConfigurationAtAllServesThisMachine(t *testing.T) {
	c, warnings, err := Load(Sources{})
	if err != nil || len(warnings) != 0 {
		t.Fatal(err, warnings)
	}
	listeners, err := c.Listeners()
	if err != nil || len(listeners) != 1 {
		t.Fatal(listeners, err)
	}
	want := Listener{Name: "PLAINTEXT", Protocol: "PLAINTEXT", Host: "127.0.0.1", Port: 9092, AdvertisedHost: "127.0.0.1", AdvertisedPort: 9092}
	if listeners[0] != want {
		t.Errorf("listener %+v", listeners[0])
	}
	cluster, err := c.ClusterListener()
	if err != nil || cluster.Addr() != "127.0.0.1:9093" {
		t.Error(cluster, err)
	}
	for name, want := range map[string]string{
		"node.id": "1", "broker.id": "1", "log.dirs": "./data", "admin.listener": "127.0.0.1:8080", "num.partitions": "1",
		"default.replication.factor": "1", "auto.create.topics.enable": "true", "log.flush.policy": "always",
		"log.retention.hours": "168", "socket.request.max.bytes": "104857600",
	} {
		if got := c.String(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestStrongerSourceWins(t *testing.T) {
	s := Sources{
		File:    "num.partitions=2\nlog.segment.bytes=2000000\nmessage.max.bytes=2000\nlog.retention.hours=2\n",
		Environ: []string{"KAFKA_NUM_PARTITIONS=3", "KAFKA_MESSAGE_MAX_BYTES=3000", "KAFKA_LOG_RETENTION_HOURS=3"},
		Set:     []string{"num.partitions=4", "message.max.bytes=4000"},
		Flags:   map[string]string{"num.partitions": "5"},
	}
	c := load(t, s)
	for _, want := range []struct {
		name, value string
		origin      Origin
	}{
		{"num.partitions", "5", OriginFlag}, {"message.max.bytes", "4000", OriginSet},
		{"log.retention.hours", "3", OriginEnvironment}, {"log.segment.bytes", "2000000", OriginFile},
		{"min.insync.replicas", "1", OriginDefault},
	} {
		if got := c.String(want.name); got != want.value || c.Origin(want.name) != want.origin {
			t.Errorf("%s is %s from %s, want %s from %s", want.name, got, c.Origin(want.name), want.value, want.origin)
		}
	}
	for _, e := range c.Entries() {
		if e.Key.Name == "log.segment.bytes" && e.Source != "server.properties:2" {
			t.Errorf("source %q", e.Source)
		}
	}
}

func TestBadValueThatIsOverriddenHurtsNobody(t *testing.T) {
	c := load(t, Sources{File: "num.partitions=none\n", Set: []string{"num.partitions=4"}})
	if c.Int("num.partitions") != 4 {
		t.Error(c.Int("num.partitions"))
	}
}

func TestEnvironmentIsReadAsByApachesImage(t *testing.T) {
	got := map[string]string{}
	for _, s := range fromEnvironment([]string{
		"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://h:1", "KAFKA_NODE_ID=7", "KAFKA_A__B___C=x", "KAFKA_HEAP_OPTS=-Xmx1g",
		"KAFKA_LOG4J_ROOT_LOGLEVEL=WARN", "KAFKA_JVM_PERFORMANCE_OPTS=x", "KAFKA_OPTS=x", "KAFKA_JMX_PORT=1",
		"KAFKA_VERSION=4.3.1", "KAFKA_HOME=/opt", "KAFKA_GC_LOG_OPTS=x", "PATH=/bin", "KAFKA_", "KAFKA_EMPTY=",
	}) {
		got[s.key] = s.text
	}
	want := map[string]string{"advertised.listeners": "PLAINTEXT://h:1", "node.id": "7", "a_b-c": "x", "empty": ""}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
}

func TestBadValueNamesKeyValueAndWhatIsAllowed(t *testing.T) {
	for text, wants := range map[string][]string{
		"num.partitions=0":                 {"num.partitions", "value 0", "at least 1", "server.properties:1"},
		"num.partitions=many":              {"num.partitions", "value many", "number of type INT"},
		"delete.topic.enable=yes":          {"delete.topic.enable", "value yes", "true or false"},
		"log.cleanup.policy=keep":          {"log.cleanup.policy", "value keep", "compact, delete"},
		"log.flush.policy=sometimes":       {"log.flush.policy", "always, interval, never"},
		"listeners=PLAINTEXT//x":           {"listeners", "NAME://host:port"},
		"listeners=PLAINTEXT://:0,[::1]:9": {"PLAINTEXT is there twice"},
		"listeners=PLAINTEXT://:9,A://h:9\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,A:PLAINTEXT": {"port 9"},
		"listeners=SSL://h:1":                        {"listeners", "SSL", "only PLAINTEXT"},
		"listeners=FOO://h:1":                        {"FOO", "listener.security.protocol.map"},
		"listeners=PLAINTEXT://0.0.0.0:9092":         {"0.0.0.0", "advertised.listeners"},
		"advertised.listeners=PLAINTEXT://0.0.0.0:1": {"advertised.listeners", "0.0.0.0"},
		"advertised.listeners=OTHER://h:1":           {"OTHER"},
		"node.id=1\nbroker.id=2":                     {"broker.id", "node.id"},
		"controller.quorum.voters=1@h":               {"controller.quorum.voters"},
		"inter.broker.listener.name=X":               {"inter.broker.listener.name", "listeners"},
		"broker.heartbeat.interval.ms=0":             {"broker.heartbeat.interval.ms", "at least 1"},
		"listeners=A://:9,B://:8\nadvertised.listeners=h:1\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT": {"NAME://host:port"},
		"delegation.token.secret.key=a\nnode.id=x":                                 {"node.id"},
		"log.cleaner.min.compaction.lag.ms=5\nlog.cleaner.max.compaction.lag.ms=4": {"compaction.lag"},
		"admin.listener=here":        {"admin.listener", "host:port"},
		"cluster.listener=here":      {"cluster.listener", "host:port"},
		"process.roles=broker,thing": {"process.roles", "broker, controller"},
	} {
		c, _, err := Load(Sources{File: text})
		if c != nil || !errors.Is(err, ErrInvalidConfig) {
			t.Errorf("%s: %v, error %v", text, c, err)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q does not contain %q", text, err, want)
			}
		}
	}
	if _, _, err := Load(Sources{Set: []string{"novalue"}}); err == nil {
		t.Error("--set without = is taken")
	}
}

func TestUnknownAndIneffectiveKeysAreNamed(t *testing.T) {
	_, warnings, err := Load(Sources{
		File:    "num.partitons=3\nnum.io.threads=9\nlistener.name.client.ssl.key.password=x\nlog.retention.hours=5\nlog.retention.ms=6\n",
		Environ: []string{"KAFKA_NONSENSE=1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, w := range warnings {
		all += w.String() + "\n"
	}
	for _, want := range []string{
		"num.partitons: there is no such configuration", "did you mean num.partitions?", "num.io.threads: it has no effect",
		"listener.name.client.ssl.key.password: a setting of one listener", "nonsense: ", "KAFKA_NONSENSE",
		"log.retention.hours: it has no effect: log.retention.ms is set",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning %q in\n%s", want, all)
		}
	}
}

func TestKRaftServerPropertiesStartsBoth(t *testing.T) {
	c := load(t, Sources{Hostname: "box", File: `
process.roles=broker,controller
node.id=3
controller.quorum.bootstrap.servers=localhost:9193
listeners=PLAINTEXT://:9192,CONTROLLER://:9193,INSIDE://10.0.0.1:9194
inter.broker.listener.name=INSIDE
advertised.listeners=PLAINTEXT://example.org:19192,CONTROLLER://localhost:9193
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT
log.dirs=/var/lib/one, /var/lib/two
`})
	listeners, err := c.Listeners()
	if err != nil || len(listeners) != 2 {
		t.Fatal(listeners, err)
	}
	if l := listeners[0]; l.AdvertisedHost != "example.org" || l.AdvertisedPort != 19192 || l.Addr() != ":9192" {
		t.Errorf("%+v", l)
	}
	if l := listeners[1]; l.Name != "INSIDE" || l.AdvertisedHost != "10.0.0.1" || l.AdvertisedPort != 9194 {
		t.Errorf("%+v", l)
	}
	cluster, err := c.ClusterListener()
	if err != nil || cluster.Port != 9193 || cluster.AdvertisedHost != "localhost" {
		t.Error(cluster, err)
	}
	if name, err := c.InterBrokerListener(); name != "INSIDE" || err != nil {
		t.Error(name, err)
	}
	if dirs := c.List("log.dirs"); len(dirs) != 2 || dirs[1] != "/var/lib/two" {
		t.Error(dirs)
	}
	if c.Int("broker.id") != 3 {
		t.Error("broker.id does not follow node.id")
	}
}

func TestAdvertisedAddressWithoutANameIsForTheOnlyListener(t *testing.T) {
	for _, listeners := range []string{"0.0.0.0:9092", "A://0.0.0.0:9092", "CONTROLLER://:9093,A://:9092"} {
		c := load(t, Sources{
			File:  "listener.security.protocol.map=A:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n",
			Flags: map[string]string{"listeners": listeners, "advertised.listeners": "example.org:19092"},
		})
		l, err := c.Listeners()
		if err != nil || len(l) != 1 || l[0].AdvertisedHost != "example.org" || l[0].AdvertisedPort != 19092 {
			t.Errorf("%s: %+v, %v", listeners, l, err)
		}
	}
}

func TestJoinLeavesOutTheNodeItself(t *testing.T) {
	for _, c := range []struct{ listener, servers, want string }{
		{"127.0.0.1:9093", "localhost:9093", ""}, {"127.0.0.1:9093", "127.0.0.1:9093", ""}, {":9093", "localhost:9093,box:9093", ""},
		{":9093", "other:9093", "other:9093"}, {"10.0.0.1:9093", "10.0.0.1:9093,10.0.0.2:9093", "10.0.0.2:9093"},
		{"10.0.0.1:9093", "localhost:9093", "localhost:9093"}, {":9093", "localhost:9095", "localhost:9095"}, {":9093", "", ""},
	} {
		cfg := load(t, Sources{Hostname: "box", Flags: map[string]string{
			"cluster.listener": c.listener, "controller.quorum.bootstrap.servers": c.servers}})
		got, err := cfg.Join()
		if err != nil || strings.Join(got, ",") != c.want {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}

func TestComposeEnvironmentOfApachesImage(t *testing.T) {
	c := load(t, Sources{Hostname: "broker", Environ: []string{
		"CLUSTER_ID=4L6g3nShT-eMCtK--X86sw", "KAFKA_NODE_ID=1", "KAFKA_PROCESS_ROLES=broker,controller",
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT",
		"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT_HOST://localhost:9092,PLAINTEXT://broker:19092",
		"KAFKA_CONTROLLER_QUORUM_VOTERS=1@broker:29093", "KAFKA_LISTENERS=CONTROLLER://:29093,PLAINTEXT_HOST://:9092,PLAINTEXT://:19092",
		"KAFKA_INTER_BROKER_LISTENER_NAME=PLAINTEXT", "KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER",
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1", "KAFKA_LOG_DIRS=/tmp/kraft-combined-logs", "KAFKA_LOG4J_ROOT_LOGLEVEL=DEBUG",
	}})
	l, err := c.Listeners()
	if err != nil || len(l) != 2 || l[0].Name != "PLAINTEXT_HOST" || l[0].AdvertisedHost != "localhost" || l[1].AdvertisedPort != 19092 {
		t.Fatal(l, err)
	}
	if cluster, err := c.ClusterListener(); err != nil || cluster.Port != 29093 {
		t.Error(cluster, err)
	}
	if v, err := c.Voters(); err != nil || len(v) != 1 || v[0] != (Voter{1, "broker:29093"}) {
		t.Error(v, err)
	}
}

func TestBrokerAloneIsReachedByTheQuorumBesideItsListener(t *testing.T) {
	file := "process.roles=broker\nnode.id=4\ncontroller.quorum.voters=1@a:9093\ncontroller.listener.names=CONTROLLER\n" +
		"listeners=PLAINTEXT://:9092\nadvertised.listeners=PLAINTEXT://d.example.com:9092\n"
	c := load(t, Sources{File: file})
	if l, err := c.ClusterListener(); err != nil || l.Addr() != ":0" || l.AdvertisedHost != "d.example.com" || l.AdvertisedPort != 0 {
		t.Error(l, err)
	}
	c = load(t, Sources{File: file + "cluster.listener=10.0.0.4:9093\n"})
	if l, err := c.ClusterListener(); err != nil || l.Addr() != "10.0.0.4:9093" || l.AdvertisedHost != "10.0.0.4" {
		t.Error(l, err)
	}
}

func TestControllerAloneNeedsNoClientListener(t *testing.T) {
	c := load(t, Sources{File: "process.roles=controller\nlisteners=CONTROLLER://:9093\n"})
	listeners, err := c.Listeners()
	if err != nil || len(listeners) != 0 {
		t.Error(listeners, err)
	}
}

func TestWildcardListenerWithoutHostAdvertisesTheHostname(t *testing.T) {
	c := load(t, Sources{Hostname: "box", File: "listeners=:0"})
	l, _ := c.Listeners()
	if l[0].AdvertisedHost != "box" || l[0].AdvertisedPort != 0 || l[0].Name != "PLAINTEXT" {
		t.Errorf("%+v", l[0])
	}
}

func TestFinerTimeUnitWins(t *testing.T) {
	for file, want := range map[string]time.Duration{
		"":                      168 * time.Hour,
		"log.retention.hours=1": time.Hour,
		"log.retention.hours=1\nlog.retention.minutes=2":                      2 * time.Minute,
		"log.retention.hours=1\nlog.retention.minutes=2\nlog.retention.ms=30": 30 * time.Millisecond,
		"log.retention.hours=-1":                                              -1,
		"log.retention.ms=-1":                                                 -1,
	} {
		topic, err := load(t, Sources{File: file}).Topic(nil)
		if err != nil || topic.Retention != want {
			t.Errorf("%q: %v, %v", file, topic.Retention, err)
		}
	}
	topic, err := load(t, Sources{File: "log.roll.hours=2\nlog.roll.jitter.hours=1\n"}).Topic(map[string]string{"segment.jitter.ms": "7"})
	if err != nil || topic.SegmentTime != 2*time.Hour || topic.SegmentJitter != 7*time.Millisecond {
		t.Error(topic.SegmentTime, topic.SegmentJitter, err)
	}
}

func TestSensitiveValuesAreHidden(t *testing.T) {
	c := load(t, Sources{File: "ssl.key.password=secret\n"})
	for _, e := range c.Entries() {
		if strings.Contains(e.Value, "secret") {
			t.Errorf("%s shows its value", e.Key.Name)
		}
	}
	k, _ := Lookup("ssl.key.password")
	if _, err := (&Key{Name: "x", Type: Password, Sensitive: true, Valid: oneOf{"a"}}).check("secret"); strings.Contains(err.Error(), "secret") || !k.Sensitive {
		t.Error(err)
	}
}

func TestDurationsDoNotOverflow(t *testing.T) {
	c := load(t, Sources{File: "log.retention.ms=9223372036854775807\nlog.roll.ms=9223372036854775807"})
	if d := c.Duration("log.retention.ms"); d != math.MaxInt64 {
		t.Error(d)
	}
	if c.Duration("log.retention.hours") != 168*time.Hour || c.Duration("leader.imbalance.check.interval.seconds") != 300*time.Second {
		t.Error("units")
	}
}
