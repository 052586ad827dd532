package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// setting is one assignment by a source, before it is checked.
type setting struct {
	key, text string
	origin    Origin
	source    string
}

// Load makes a Config from its sources. For each property the strongest source counts: flag, then --set, then
// environment, then file, then the default. The error joins an *Error for every bad value; with an error, Config is nil.
// Warnings name unknown keys and those that have no effect; they come with an error too.
func Load(s Sources) (*Config, []Warning, error) {
	settings, err := gather(s)
	if err != nil {
		return nil, nil, err
	}
	c := &Config{values: defaults(), hostname: cmp.Or(s.Hostname, "localhost")}
	var warnings []Warning
	var errs []error
	for _, set := range settings {
		warning, err := c.assign(set)
		if err != nil {
			errs = append(errs, err)
		}
		if warning != "" {
			warnings = append(warnings, Warning{Key: set.key, Text: warning})
		}
	}
	if len(errs) == 0 {
		errs = c.settle()
		warnings = append(warnings, c.shadowed()...)
	}
	slices.SortFunc(warnings, func(a, b Warning) int { return cmp.Compare(a.Key, b.Key) })
	if err := errors.Join(errs...); err != nil {
		return nil, warnings, err
	}
	return c, warnings, nil
}

// gather collects the assignments of all sources, weakest first, so that later ones win.
func gather(s Sources) ([]setting, error) {
	settings, err := parseProperties(s.File, cmp.Or(s.FileName, "server.properties"))
	if err != nil {
		return nil, err
	}
	settings = append(settings, fromEnvironment(s.Environ)...)
	for _, kv := range s.Set {
		key, text, ok := strings.Cut(kv, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			return nil, &Error{Key: "--set", Value: kv, Reason: "it must be key=value"}
		}
		settings = append(settings, setting{key, text, OriginSet, "--set"})
	}
	flags := make([]string, 0, len(s.Flags))
	for key := range s.Flags {
		flags = append(flags, key)
	}
	slices.Sort(flags)
	for _, key := range flags {
		settings = append(settings, setting{key, s.Flags[key], OriginFlag, "flag"})
	}
	return lastOfEach(settings), nil
}

// lastOfEach keeps the last assignment of each key, so that a bad value that is overridden hurts nobody.
func lastOfEach(settings []setting) []setting {
	last := make(map[string]int, len(settings))
	for i, s := range settings {
		last[s.key] = i
	}
	kept := settings[:0]
	for i, s := range settings {
		if last[s.key] == i {
			kept = append(kept, s)
		}
	}
	return kept
}

func defaults() map[string]value {
	values := make(map[string]value, len(table))
	for i := range table {
		k := &table[i]
		if k.Scope == BrokerScope {
			values[k.Name] = k.defaultValue()
		}
	}
	return values
}

func (k *Key) defaultValue() value {
	if k.NoDefault {
		return value{}
	}
	parsed, reason := parse(k.Type, k.Default)
	if reason != "" {
		panic("config: the default of " + k.Name + " is bad: " + reason)
	}
	return value{text: format(parsed), parsed: parsed, isSet: true}
}

// assign checks one setting and takes it.
func (c *Config) assign(s setting) (warning string, err error) {
	k, ok := Lookup(s.key)
	if !ok {
		return unknown(s), nil
	}
	parsed, err := k.check(s.text)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			e.Source = s.source
		}
		return "", err
	}
	c.values[k.Name] = value{text: format(parsed), parsed: parsed, origin: s.origin, source: s.source, isSet: true}
	if k.Meaning == Accepted {
		return fmt.Sprintf("it has no effect here and is accepted as it is (%s)", s.source), nil
	}
	return "", nil
}

// unknown says what a key that is not in the table might be.
func unknown(s setting) string {
	for prefix, what := range prefixes {
		if strings.HasPrefix(s.key, prefix) {
			return fmt.Sprintf("%s; it has no effect here (%s)", what, s.source)
		}
	}
	text := fmt.Sprintf("there is no such configuration; it is ignored (%s)", s.source)
	if near := nearest(s.key); near != "" {
		text += "; did you mean " + near + "?"
	}
	return text
}

// prefixes open families of keys that Kafka hands to plugins or to one listener.
var prefixes = map[string]string{
	"listener.name.":    "a setting of one listener",
	"config.providers.": "a setting of a configuration provider",
	"rsm.config.":       "a setting of a remote storage plugin",
	"rlmm.config.":      "a setting of a remote metadata plugin",
	"telemetry.":        "a setting of a telemetry plugin",
}
