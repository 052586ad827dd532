package config

import (
	"slices"
)

// settle holds the rules between properties and makes the effective values of pairs of names that mean one thing.
func (c *Config) settle() []error {
	var errs []error
	keep := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	keep(c.settleNodeID())
	c.settleLogDirs()
	keep(c.settleRoles())
	if len(errs) > 0 {
		return errs
	}
	_, err := c.ClusterListener()
	keep(err)
	if err == nil {
		_, err = c.InterBrokerListener()
		keep(err)
	}
	if c.String("admin.listener") != "" {
		if _, _, err := splitHostPort(c.String("admin.listener")); err != nil {
			keep(c.bad("admin.listener", err.Error()))
		}
	}
	_, err = c.Voters()
	keep(err)
	_, err = c.Topic(nil)
	keep(err)
	return errs
}

// settleNodeID lets broker.id, the name of old, stand for node.id. From one source both must agree.
func (c *Config) settleNodeID() error {
	node, broker := c.get("node.id"), c.get("broker.id")
	if broker.origin != OriginDefault && broker.parsed.(int64) >= 0 {
		if broker.origin == node.origin && broker.text != node.text {
			return c.bad("broker.id", "it must be the same as node.id, which is "+node.text)
		}
		if broker.origin > node.origin {
			node = broker
		}
	}
	c.values["node.id"] = node
	broker.text, broker.parsed, broker.origin, broker.source = node.text, node.parsed, node.origin, node.source
	c.values["broker.id"] = broker
	return nil
}

// settleLogDirs lets log.dir stand for log.dirs where that has no value of at least equal strength.
func (c *Config) settleLogDirs() {
	dir, dirs := c.get("log.dir"), c.get("log.dirs")
	if len(c.List("log.dirs")) == 0 || dir.origin > dirs.origin {
		c.values["log.dirs"] = dir
	}
}

func (c *Config) settleRoles() error {
	if len(c.List("log.dirs")) == 0 || slices.Contains(c.List("log.dirs"), "") {
		return c.bad("log.dirs", "it must name a directory")
	}
	if slices.Contains(c.List("process.roles"), "broker") && c.Int64("broker.heartbeat.interval.ms") <= 0 {
		return c.bad("broker.heartbeat.interval.ms", "it must be at least 1")
	}
	return nil
}

// shadowed warns of values that lose: against a finer name of the same thing, or against another value.
func (c *Config) shadowed() []Warning {
	var warnings []Warning
	const beat, session = "broker.heartbeat.interval.ms", "broker.session.timeout.ms"
	if c.Int64(beat)*2 > c.Int64(session) {
		warnings = append(warnings, Warning{Key: beat, Text: "it is not well below " + session + ": brokers will beat more often"})
	}
	for _, names := range [][]string{
		brokerSynonyms["log.retention.ms"], brokerSynonyms["log.roll.ms"], brokerSynonyms["log.roll.jitter.ms"],
		brokerSynonyms["log.flush.interval.ms"],
	} {
		winner := ""
		for _, name := range names {
			if c.Origin(name) == OriginDefault {
				continue
			}
			if winner != "" {
				warnings = append(warnings, Warning{Key: name, Text: "it has no effect: " + winner + " is set (" + c.get(winner).source + ")"})
				continue
			}
			winner = name
		}
	}
	return warnings
}
