package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func alter(t *testing.T, target Target, r ConfigResource, op ConfigOp, args ...string) (*AlteredConfigs, error) {
	t.Helper()
	changes, err := ParseConfigChanges(op, args)
	if err != nil {
		t.Fatal(err)
	}
	return AlterConfigs(t.Context(), target, AlterConfigsOptions{Resource: r, Changes: changes})
}

func mustAlter(t *testing.T, target Target, r ConfigResource, op ConfigOp, args ...string) {
	t.Helper()
	if _, err := alter(t, target, r, op, args...); err != nil {
		t.Fatal(err)
	}
}

// overrides is what describe shows of a topic unasked, as key=value.
func overrides(t *testing.T, target Target, topic string) string {
	t.Helper()
	list, err := DescribeConfigs(t.Context(), target, DescribeConfigsOptions{Kind: "topic", Names: []string{topic}})
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	var parts []string
	for _, c := range list[0].Configs {
		if c.Source == "DYNAMIC_TOPIC_CONFIG" {
			parts = append(parts, c.Name+"="+*c.Value)
		}
	}
	return strings.Join(parts, " ")
}

func TestPropertiesAreSetChangedAndUnset(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	a := ConfigResource{"topic", "a"}
	mustAlter(t, target, a, ConfigSet, "retention.ms=1000", "cleanup.policy=delete")
	if got := overrides(t, target, "a"); got != "cleanup.policy=delete retention.ms=1000" {
		t.Errorf("set: %s", got)
	}
	altered, err := alter(t, target, a, ConfigAppend, "cleanup.policy=compact")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, table(t, altered), `
	changed topic a
	KEY             CHANGE  VALUE    BEFORE
	cleanup.policy  append  compact  delete
	`)
	mustAlter(t, target, a, ConfigSubtract, "cleanup.policy=delete")
	mustAlter(t, target, a, ConfigUnset, "retention.ms")
	if got := overrides(t, target, "a"); got != "cleanup.policy=compact" {
		t.Errorf("unset: %s", got)
	}
	if _, err := alter(t, target, a, ConfigUnset, "retention.sm"); err == nil || !strings.Contains(err.Error(), `there is no property "retention.sm"`) {
		t.Errorf("a property that doesn't exist: %v", err)
	}
	_, err = alter(t, target, ConfigResource{"topic", "nope"}, ConfigSet, "retention.ms=1")
	if !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), "topic nope") {
		t.Errorf("a topic that is not there: %v", err)
	}
}

func TestADryRunChangesNoProperty(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a"))
	changes, err := ParseConfigChanges(ConfigSet, []string{"retention.ms=1000"})
	if err != nil {
		t.Fatal(err)
	}
	altered, err := AlterConfigs(t.Context(), target, AlterConfigsOptions{Resource: ConfigResource{"topic", "a"}, Changes: changes, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, table(t, altered), `
	could be changed: topic a
	KEY           CHANGE  VALUE  BEFORE
	retention.ms  set     1000   604800000
	`)
	if got := overrides(t, target, "a"); got != "" {
		t.Errorf("set: %s", got)
	}
}

func TestOnlyWhatDiffersFromTheDefaultsIsDescribed(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "b", "a"))
	mustAlter(t, target, ConfigResource{"topic", "a"}, ConfigSet, "retention.ms=1000")
	list, err := DescribeConfigs(t.Context(), target, DescribeConfigsOptions{Kind: "topics"})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, table(t, list), `
	topic a
	KEY           VALUE  SOURCE
	retention.ms  1000   DYNAMIC_TOPIC_CONFIG

	topic b
	nothing differs from the defaults
	`)
	all, err := DescribeConfigs(t.Context(), target, DescribeConfigsOptions{Kind: "topic", Names: []string{"a", "nope"}, All: true, Verbose: true})
	if !errors.Is(err, kerr.UnknownTopicOrPartition) || len(all) != 1 || len(all[0].Configs) < 5 {
		t.Fatalf("%+v, %v", all, err)
	}
	if got := table(t, all); !strings.Contains(got, "KEY ") || !strings.Contains(got, "READ-ONLY  SYNONYMS\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestConfigurationsAreCompared(t *testing.T) {
	target := fake(t, kfake.SeedTopics(1, "a", "b"))
	mustAlter(t, target, ConfigResource{"topic", "a"}, ConfigSet, "retention.ms=1000", "cleanup.policy=compact")
	mustAlter(t, target, ConfigResource{"topic", "b"}, ConfigSet, "retention.ms=1000", "segment.ms=5000")
	diff, err := DiffConfigs(t.Context(), target, ConfigResource{"topic", "a"}, ConfigResource{"topic", "b"})
	if err != nil {
		t.Fatal(err)
	}
	if got := table(t, diff); !strings.HasPrefix(got, "KEY             topic a  ") || strings.Contains(got, "retention.ms") ||
		!strings.Contains(got, "cleanup.policy  compact  ") || !strings.Contains(got, "segment.ms      ") {
		t.Errorf("got\n%s", got)
	}
	_, err = DiffConfigs(t.Context(), target, ConfigResource{"topic", "a"}, ConfigResource{"topic", "a"})
	if !isUsage(err) {
		t.Errorf("the same twice: %v", err)
	}
}

func TestDefaultsComeFromTheLastSynonym(t *testing.T) {
	set, def, own := kmsg.ConfigSourceDynamicTopicConfig, kmsg.ConfigSourceDefaultConfig, "5"
	entry := func(name string, value *string, source kmsg.ConfigSource, sensitive bool, synonyms ...string) configEntry {
		e := kmsg.NewDescribeConfigsResponseResourceConfig()
		e.Name, e.Value, e.Source, e.IsSensitive = name, value, source, sensitive
		for _, s := range synonyms {
			y := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			y.Name, y.Value, y.Source = name, &s, def
			e.ConfigSynonyms = append(e.ConfigSynonyms, y)
		}
		return e
	}
	diff := diffDefaults(ConfigResource{"topic", "a"}, []configEntry{
		entry("as.by.default", &own, def, false, "5"),
		entry("differs", &own, set, false, "7"),
		entry("hidden", nil, set, true, "7"),
		entry("hidden.default", nil, def, true),
		entry("no.default", &own, set, false),
		entry("set.to.default", &own, set, false, "5"),
	})
	golden(t, table(t, diff), `
	KEY         topic a   default
	differs     5         7
	hidden      (hidden)  7
	no.default  5         -
	`)
	golden(t, table(t, diffDefaults(ConfigResource{Kind: "broker"}, nil)), "broker default and default do not differ\n")
}

func TestResourcesHaveKindsAndNames(t *testing.T) {
	for _, good := range [][3]string{
		{"topic", "a", "topic a"}, {"brokers", "1", "broker 1"}, {"broker", "", "broker default"},
		{"client-metrics", "m", "client-metrics m"}, {"groups", "g", "group g"}, {"broker-loggers", "1", "broker-logger 1"},
	} {
		if r, err := ParseConfigResource(good[0], good[1]); err != nil || r.String() != good[2] {
			t.Errorf("%v: got %v, %v", good, r, err)
		}
	}
	for _, bad := range [][2]string{{"topic", ""}, {"broker", "x"}, {"broker", "-1"}, {"broker-logger", ""}, {"thing", "a"}, {"group", ""}} {
		if r, err := ParseConfigResource(bad[0], bad[1]); !isUsage(err) {
			t.Errorf("%v: got %v, %v, want a usage error", bad, r, err)
		}
	}
	for _, o := range []DescribeConfigsOptions{
		{Kind: "thing"}, {Kind: "topic", Default: true}, {Kind: "broker", Default: true, Names: []string{"1"}}, {Kind: "broker", Names: []string{"x"}},
	} {
		if _, err := DescribeConfigs(t.Context(), Target{}, o); !isUsage(err) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, c := range []struct {
		op   ConfigOp
		args []string
	}{{ConfigSet, []string{"a"}}, {ConfigSet, []string{"=1"}}, {ConfigSet, []string{"a=1", "a=2"}}, {ConfigUnset, []string{"a=1"}}, {ConfigUnset, []string{""}}} {
		if _, err := ParseConfigChanges(c.op, c.args); !isUsage(err) {
			t.Errorf("%s %q: %v", c.op, c.args, err)
		}
	}
}

func TestABrokerThatIsNotThereIsNamed(t *testing.T) {
	target := fake(t)
	list, err := DescribeConfigs(t.Context(), target, DescribeConfigsOptions{Kind: "broker", Names: []string{"0", "77"}})
	if len(list) != 1 || err == nil || !strings.Contains(err.Error(), "describe configs of broker 77: ") {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestValuesStayOnOneLine(t *testing.T) {
	text, empty := "a\nb\tc", ""
	for want, got := range map[string]string{
		`a\nb\tc`: shownValue(&text, false), `""`: shownValue(&empty, false), "-": shownValue(nil, false), "(hidden)": shownValue(&text, true),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
