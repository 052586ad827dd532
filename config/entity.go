package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// CheckGroup says why a group may not be given these properties, all that would then be set on it. The bounds are this
// broker's. Its words are Kafka's.
func (c *Config) CheckGroup(set map[string]string) error {
	values, err := parseEntity(GroupScope, set, "Unknown group config name: ")
	if err != nil {
		return err
	}
	for _, b := range groupBounds {
		v, ok := values[b.name]
		switch {
		case !ok:
		case b.least != "" && v.(int64) < c.Int64(b.least):
			return &Error{Key: b.name, Text: b.name + " must be greater than or equal to " + b.least}
		case v.(int64) > c.Int64(b.most):
			return &Error{Key: b.name, Text: b.name + " must be less than or equal to " + b.most}
		}
	}
	for _, kind := range []string{"consumer", "share", "streams"} {
		session, beat := kind+".session.timeout.ms", kind+".heartbeat.interval.ms"
		if c.groupValue(values, session) <= c.groupValue(values, beat) {
			return &Error{Key: session, Text: session + " must be greater than " + beat}
		}
	}
	return nil
}

// groupValue is a group's value in effect.
func (c *Config) groupValue(values map[string]any, name string) int64 {
	if v, ok := values[name]; ok {
		return v.(int64)
	}
	return c.Int64("group." + name)
}

func parseEntity(scope Scope, set map[string]string, unknown string) (map[string]any, error) {
	values := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if _, ok := lookup(scope, name); !ok {
			return nil, &Error{Key: name, Unknown: true, Text: unknown + name}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		k, _ := lookup(scope, name)
		parsed, err := k.checkSet(set[name])
		if err != nil {
			return nil, err
		}
		values[name] = parsed
	}
	return values, nil
}

// matchNames are what a subscription to clients' metrics can choose clients by.
var matchNames = []string{
	"client_instance_id", "client_id", "client_software_name", "client_software_version", "client_source_address", "client_source_port",
}

// CheckClientMetrics says why a subscription may not be given these properties. request tells errors that are
// INVALID_REQUEST to Kafka from those that are INVALID_CONFIG. Its words are Kafka's.
func CheckClientMetrics(set map[string]string) (request bool, err error) {
	values, err := parseEntity(ClientMetricsScope, set, "Unknown client metrics configuration: ")
	if err != nil {
		return err.(*Error).Unknown, err
	}
	if v, ok := values["interval.ms"]; ok && (v.(int64) < 100 || v.(int64) > 3_600_000) {
		return true, &Error{Key: "interval.ms", Text: "Invalid value " + format(v) +
			" for interval.ms, interval must be between 100 and 3600000 (1 hour)"}
	}
	patterns, _ := values["match"].([]string)
	for _, p := range patterns {
		name, pattern, ok := strings.Cut(p, "=")
		if _, err := regexp.Compile(strings.TrimSpace(pattern)); !ok || err != nil || pattern == "" ||
			strings.Contains(pattern, "=") || !slices.Contains(matchNames, strings.TrimSpace(name)) {
			return false, &Error{Key: "match", Text: "Illegal client matching pattern: " + p}
		}
	}
	return false, nil
}

// offsetReset allows what share.auto.offset.reset takes.
type offsetReset struct{}

var isoDuration = regexp.MustCompile(`^by_duration:[pP](\d+[dD])?([tT](\d+[hH])?(\d+[mM])?(\d+([.,]\d{1,9})?[sS])?)?$`)

func (v offsetReset) Check(p any) string {
	s := p.(string)
	low := strings.ToLower(s)
	good := low == "earliest" || low == "latest" || isoDuration.MatchString(low) && !strings.HasSuffix(low, "p") && !strings.HasSuffix(low, "t")
	if good {
		return ""
	}
	return "Invalid value `" + s + "` for configuration share.auto.offset.reset. The value must be either 'earliest', 'latest' " +
		"or of the format 'by_duration:<PnDTnHnMn.nS>'."
}

func (offsetReset) String() string { return "latest, earliest, by_duration:PnDTnHnMn.nS" }
