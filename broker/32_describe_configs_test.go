package broker

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

// resource names what to describe; names are the only properties asked for, if there are any.
func resource(kind kmsg.ConfigResourceType, name string, names ...string) kmsg.DescribeConfigsRequestResource {
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, names
	return r
}

func describeConfigsRequest(version int16, resources ...kmsg.DescribeConfigsRequestResource) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version, req.Resources, req.IncludeSynonyms, req.IncludeDocumentation = version, resources, true, true
	return req
}

type describedRow = kmsg.DescribeConfigsResponseResourceConfig

// describe asks for one resource, which must be there, and returns its properties by name.
func (c *client) describe(kind kmsg.ConfigResourceType, name string) map[string]describedRow {
	c.t.Helper()
	r := ask[*kmsg.DescribeConfigsResponse](c, describeConfigsRequest(4, resource(kind, name))).Resources[0]
	mustBeCode(c.t, name, r.ErrorCode, nil)
	rows := map[string]describedRow{}
	for _, row := range r.Configs {
		rows[row.Name] = row
	}
	return rows
}

// shownRow is a property in one line: value, source, synonyms.
func shownRow(row describedRow) string {
	text := func(v *string) string {
		if v == nil {
			return "null"
		}
		return *v
	}
	out := text(row.Value) + " " + row.Source.String()
	for _, s := range row.ConfigSynonyms {
		out += " " + s.Name + "=" + text(s.Value) + "/" + s.Source.String()
	}
	return strings.ReplaceAll(out, "_CONFIG", "")
}

const (
	topicType   = kmsg.ConfigResourceTypeTopic
	brokerType  = kmsg.ConfigResourceTypeBroker
	groupType   = kmsg.ConfigResourceTypeGroupConfig
	metricsType = kmsg.ConfigResourceTypeClientMetrics
	loggerType  = kmsg.ConfigResourceTypeBrokerLogger
)

func TestDescribeConfigsOfATopicTellsEveryPropertyAndWhereItComesFrom(t *testing.T) {
	b := startBroker(t, withConfig("log.retention.hours=3", "message.max.bytes=5000"))
	b.createTopic("t", 1, "retention.ms=1000", "cleanup.policy=compact")
	rows := b.dial().describe(topicType, "t")
	for name, want := range map[string]string{
		"retention.ms":      "1000 DYNAMIC_TOPIC retention.ms=1000/DYNAMIC_TOPIC",
		"cleanup.policy":    "compact DYNAMIC_TOPIC cleanup.policy=compact/DYNAMIC_TOPIC log.cleanup.policy=delete/DEFAULT",
		"max.message.bytes": "5000 STATIC_BROKER message.max.bytes=5000/STATIC_BROKER message.max.bytes=1048588/DEFAULT",
		"segment.bytes":     "1073741824 DEFAULT log.segment.bytes=1073741824/DEFAULT",
		"flush.ms":          "9223372036854775807 DEFAULT",
	} {
		row := rows[name]
		if got := shownRow(row); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if row.ReadOnly || row.IsSensitive || row.Documentation == nil {
			t.Errorf("%s: %+v", name, row)
		}
	}
	if rows["min.cleanable.dirty.ratio"].ConfigType != kmsg.ConfigTypeDouble || rows["cleanup.policy"].ConfigType != kmsg.ConfigTypeList {
		t.Error("wrong types")
	}
	if len(rows) != 33 {
		t.Errorf("%d properties", len(rows))
	}
}

func TestDescribeConfigsOfTheBrokerHasWhatToolsLookFor(t *testing.T) {
	b := startBroker(t, withConfig("num.partitions=7", "delegation.token.secret.key=s3cret"))
	rows := b.dial().describe(brokerType, "1")
	if got := shownRow(rows["num.partitions"]); got != "7 STATIC_BROKER num.partitions=7/STATIC_BROKER num.partitions=1/DEFAULT" {
		t.Error(got)
	}
	if !rows["num.partitions"].ReadOnly || rows["log.retention.ms"].ReadOnly || rows["log.retention.ms"].Value != nil {
		t.Error("read-only properties or absent values are told wrongly")
	}
	secret := rows["delegation.token.secret.key"]
	if !secret.IsSensitive || shownRow(secret) != "null STATIC_BROKER delegation.token.secret.key=null/STATIC_BROKER" {
		t.Errorf("a secret is told: %+v", secret)
	}
	if _, there := rows["log.cleaner.threads"]; !there || len(rows) < 250 {
		t.Errorf("%d properties", len(rows))
	}
}

func TestDescribeConfigsTellsOnlyWhatIsAskedFor(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	resp := ask[*kmsg.DescribeConfigsResponse](c, describeConfigsRequest(4,
		resource(topicType, "t", "retention.ms", "nonsense", "retention.ms"), resource(topicType, "t", []string{}...)))
	if len(resp.Resources[0].Configs) != 1 || len(resp.Resources[1].Configs) != 33 {
		t.Errorf("%d and %d properties", len(resp.Resources[0].Configs), len(resp.Resources[1].Configs))
	}
	req := describeConfigsRequest(4, resource(topicType, "t", "retention.ms"))
	req.IncludeSynonyms, req.IncludeDocumentation = false, false
	row := ask[*kmsg.DescribeConfigsResponse](c, req).Resources[0].Configs[0]
	if len(row.ConfigSynonyms) != 0 || row.Documentation != nil {
		t.Errorf("%+v", row)
	}
}

func TestDescribeConfigsInEveryVersion(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1, "retention.ms=1000")
	c := b.dial()
	for version := range int16(5) {
		rows := ask[*kmsg.DescribeConfigsResponse](c, describeConfigsRequest(version, resource(topicType, "t", "retention.ms", "segment.ms"))).Resources[0].Configs
		set, unset := rows[0], rows[1]
		if version == 0 && (set.IsDefault || !unset.IsDefault) {
			t.Errorf("v0: %+v", rows)
		}
		if version >= 1 && (set.Source != kmsg.ConfigSourceDynamicTopicConfig || unset.Source != kmsg.ConfigSourceDefaultConfig || len(set.ConfigSynonyms) != 1) {
			t.Errorf("v%d: %+v", version, rows)
		}
		if version >= 3 && (set.ConfigType != kmsg.ConfigTypeLong || set.Documentation == nil) {
			t.Errorf("v%d: %+v", version, rows)
		}
	}
}

func TestDescribeConfigsNamesWhatIsNotThere(t *testing.T) {
	b := startBroker(t)
	for _, row := range []struct {
		kind kmsg.ConfigResourceType
		name string
		code *kafkaproto.Error
		text string
	}{
		{topicType, "none", kafkaproto.ErrUnknownTopicOrPartition, ""},
		{topicType, "a b", kafkaproto.ErrInvalidTopicException, "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"},
		{brokerType, "2", kafkaproto.ErrInvalidRequest, "Unexpected broker id, expected 1 or empty string, but received 2"},
		{brokerType, "x", kafkaproto.ErrInvalidRequest, "Broker id must be an integer, but it is: x"},
		{loggerType, "", kafkaproto.ErrInvalidRequest, "Broker id must not be empty"},
		{loggerType, "7", kafkaproto.ErrInvalidRequest, "Unexpected broker id, expected 1 but received 7"},
		{metricsType, "", kafkaproto.ErrInvalidRequest, "Client metrics subscription name must not be empty"},
		{groupType, "", kafkaproto.ErrInvalidRequest, "Group name must not be empty"},
	} {
		r := ask[*kmsg.DescribeConfigsResponse](b.dial(), describeConfigsRequest(4, resource(row.kind, row.name))).Resources[0]
		mustBeCode(t, row.name, r.ErrorCode, row.code)
		if *r.ErrorMessage != row.text || len(r.Configs) != 0 {
			t.Errorf("%v %q: %q", row.kind, row.name, *r.ErrorMessage)
		}
	}
	for _, r := range ask[*kmsg.DescribeConfigsResponse](b.dial(), describeConfigsRequest(4, resource(topicType, "t"), resource(77, "x"))).Resources {
		mustBeCode(t, r.ResourceName, r.ErrorCode, kafkaproto.ErrInvalidRequest)
	}
}

func TestTheLevelOfTheLogIsToldAndCanBeSet(t *testing.T) {
	b := startBroker(t, withConfig("log.level=warn"))
	c := b.dial()
	level := func() string { return shownRow(c.describe(loggerType, "1")["root"]) }
	if got := level(); got != "WARN DYNAMIC_BROKER_LOGGER" {
		t.Error(got)
	}
	c.mustChange(setConfig(brokerType, "", "log.level", "error"))
	if got := level(); got != "ERROR DYNAMIC_BROKER_LOGGER" {
		t.Error(got)
	}
	for _, r := range c.change(1, true, setConfig(loggerType, "1", "root", "DEBUG")) {
		mustBeCode(t, "validate only", r.ErrorCode, nil)
	}
	if got := level(); got != "ERROR DYNAMIC_BROKER_LOGGER" {
		t.Error(got)
	}
	c.mustChange(setConfig(loggerType, "1", "root", "DEBUG"))
	if got := level(); got != "DEBUG DYNAMIC_BROKER_LOGGER" || b.server.config.Level() != slog.LevelDebug {
		t.Error(got)
	}
}

// Kafka Connect refuses to start on topics of its own that are not compacted, and looks at this one property.
func TestConnectFindsItsTopicsCompacted(t *testing.T) {
	b := startBroker(t)
	b.createTopic("connect-configs", 1, "cleanup.policy=compact")
	c := b.dial()
	r := ask[*kmsg.DescribeConfigsResponse](c, describeConfigsRequest(4, resource(topicType, "connect-configs", "cleanup.policy"))).Resources[0]
	if len(r.Configs) != 1 || *r.Configs[0].Value != "compact" {
		t.Errorf("%+v", r)
	}
	c.mustChange(setConfig(topicType, "connect-configs", "cleanup.policy", "delete"))
	if row := c.describe(topicType, "connect-configs")["cleanup.policy"]; *row.Value != "delete" {
		t.Errorf("%+v", row)
	}
}

func TestListConfigResourcesNamesWhatCanBeDescribed(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	c.mustChange(setConfig(groupType, "g", "consumer.session.timeout.ms", "50000"), setConfig(metricsType, "m", "interval.ms", "100"))
	list := func(version int16, types ...int8) (names []string, code int16) {
		req := kmsg.NewPtrListConfigResourcesRequest()
		req.Version, req.ResourceTypes = version, types
		resp := ask[*kmsg.ListConfigResourcesResponse](c, req)
		for _, r := range resp.ConfigResources {
			names = append(names, kmsg.ConfigResourceType(r.Type).String()+" "+r.Name)
		}
		return names, resp.ErrorCode
	}
	for _, row := range []struct {
		version int16
		types   []int8
		want    []string
	}{
		{1, nil, []string{"GROUP_CONFIG g", "CLIENT_METRICS m", "BROKER_LOGGER 1", "BROKER 1", "TOPIC t"}},
		{1, []int8{2, 32}, []string{"GROUP_CONFIG g", "TOPIC t"}},
		{0, nil, []string{"CLIENT_METRICS m"}},
	} {
		if got, code := list(row.version, row.types...); !slices.Equal(got, row.want) || code != 0 {
			t.Errorf("v%d %v: %v (%d)", row.version, row.types, got, code)
		}
	}
	if names, code := list(1, 99); names != nil || code != kafkaproto.ErrUnsupportedVersion.Num {
		t.Error(names, code)
	}
}
