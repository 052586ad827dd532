package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// CheckDynamic says why a broker may not be given these properties while it runs, all that would then be set on this broker
// or, for not perBroker, on the cluster. Its words are Kafka's.
func (c *Config) CheckDynamic(set map[string]string, perBroker bool) error {
	names := slices.Sorted(maps.Keys(set))
	for _, rule := range []struct {
		refuses func(name string) bool
		text    string
	}{
		{readOnly, "Cannot update these configs dynamically"},
		{needsListener, "These security configs can be dynamically updated only per-listener using the listener prefix"},
	} {
		if err := refuse(names, rule.refuses, rule.text); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := c.checkDynamic(name, set[name]); err != nil {
			return err
		}
	}
	if perBroker {
		return nil
	}
	return refuse(names, ofOneBroker, "Cannot update these configs at default cluster level, broker id must be specified")
}

func refuse(names []string, refuses func(string) bool, text string) error {
	var refused []string
	for _, name := range names {
		if refuses(name) {
			refused = append(refused, name)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return &Error{Key: refused[0], Text: text + ": [" + strings.Join(refused, ", ") + "]"}
}

func readOnly(name string) bool {
	k, ok := Lookup(name)
	return ok && k.Update == ReadOnly
}

func needsListener(name string) bool {
	k, ok := Lookup(name)
	return ok && k.Update == PerBroker && strings.HasPrefix(name, "ssl.")
}

// ofOneBroker tells of properties that make no sense for a whole cluster.
func ofOneBroker(name string) bool {
	if base, ok := listenerBase(name); ok {
		return base != "max.connections" && base != "max.connection.creation.rate" && base != "num.network.threads"
	}
	k, ok := Lookup(name)
	return ok && k.Update == PerBroker
}

// needsRestart are the properties that Kafka's brokers can change while they run, and this one can't.
var needsRestart = map[string]bool{"listeners": true, "listener.security.protocol.map": true}

// checkDynamic checks one value.
func (c *Config) checkDynamic(name, text string) error {
	k, _, ok := lookupDynamic(name)
	if !ok {
		return nil
	}
	parsed, err := k.checkSet(text)
	if err != nil {
		return err
	}
	if needsRestart[name] && format(parsed) != c.values[name].text {
		return &Error{Key: name, Text: name + " can't be changed while the broker runs: start it anew with the new value"}
	}
	switch name {
	case "log.retention.ms":
		if parsed.(int64) == 0 {
			return &Error{Key: name, Text: "log.retention.ms must be unlimited (-1) or, greater than or equal to 1"}
		}
	case "max.connections.per.ip.overrides":
		return checkOverrides(text)
	}
	return nil
}

// checkOverrides checks host:number pairs.
func checkOverrides(text string) error {
	for _, pair := range splitList(strings.TrimSpace(text)) {
		i := strings.LastIndexByte(pair, ':')
		n, err := strconv.ParseInt(strings.TrimSpace(pair[i+1:]), 10, 32)
		if i <= 0 || err != nil || n < 0 {
			const name = "max.connections.per.ip.overrides"
			return &Error{Key: name, Value: text, Reason: "it must be host:number pairs divided by commas"}
		}
	}
	return nil
}
