// Package config is the one table of properties: Kafka's broker and topic properties and StreamBus's own, with type,
// default, range, scope and what each does here. Everything that takes or prints a property reads that table: flags,
// server.properties, the environment, CreateTopics, DescribeConfigs, `streambus config print`.
//
// It never opens a file, a socket or a clock: callers hand it text and get typed values. The node drives Load once at
// its start; the controller and the broker call ValidateTopic and (*Config).Topic for each topic.
//
// Read keys.go first (what a row of the table is), then load.go (where a value comes from).
package config

import (
	"log/slog"
	"sync/atomic"
)

// Origin says where a value came from, in order of precedence from the weakest.
type Origin int

// Where a value came from.
const (
	OriginDefault Origin = iota
	OriginFile
	OriginEnvironment
	OriginSet
	OriginFlag
	OriginCluster // set on all brokers while they run
	OriginBroker  // set on this broker while it runs
)

func (o Origin) String() string {
	return [...]string{"default", "file", "environment", "set", "flag", "cluster", "broker"}[o]
}

// Sources is what Load reads. Nil and empty parts are left out.
type Sources struct {
	Flags    map[string]string // key -> value of command line flags that were given; keys are property names
	Set      []string          // key=value, as given with --set
	Environ  []string          // KEY=value, as os.Environ returns
	File     string            // contents of server.properties
	FileName string            // only for messages
	// Hostname is what a wildcard listener advertises when no advertised address is given. Empty: localhost.
	Hostname string
}

// Warning is something about the sources that does not keep the server from starting.
type Warning struct {
	Key  string
	Text string
}

func (w Warning) String() string { return w.Key + ": " + w.Text }

// Config is a set of checked values: those from the start, which never change, and over them what was set while the broker
// runs (SetDynamic), which the methods that read a property follow at once.
type Config struct {
	values   map[string]value
	hostname string
	overlay  atomic.Pointer[overlay]
	level    atomic.Pointer[slog.Level] // SetLevel's
}

// value is a checked property value: as written, and as parsed.
type value struct {
	text   string
	parsed any // bool, int64, float64, string, []string; nil for a property that is not set
	origin Origin
	source string // "server.properties:12", "--set", "KAFKA_NODE_ID", ...
	isSet  bool
}

// Entry is one property with its effective value, for printing.
type Entry struct {
	Key    *Key
	Value  string // "[hidden]" if the key is sensitive and set
	Set    bool   // false: Value is empty because the property has no value
	Origin Origin
	Source string // file and line, name of the variable or flag; empty for defaults
}
