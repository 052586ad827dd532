package config

// Type is the type of a property's value, named as Kafka names it.
type Type string

// Kafka's property types.
const (
	Boolean  Type = "boolean"
	String   Type = "string"
	Int      Type = "int"
	Short    Type = "short"
	Long     Type = "long"
	Double   Type = "double"
	List     Type = "list"
	Class    Type = "class"
	Password Type = "password"
)

// Scope says what a property belongs to.
type Scope string

// Scopes.
const (
	BrokerScope Scope = "broker"
	TopicScope  Scope = "topic"
	// GroupScope and ClientMetricsScope are for what is set on one group, or on one subscription to the metrics of clients.
	GroupScope         Scope = "group"
	ClientMetricsScope Scope = "client metrics"
)

// Update says how Kafka lets a broker property change while the broker runs.
type Update string

// Update modes, as Kafka's documentation prints them.
const (
	ReadOnly    Update = "read-only"
	PerBroker   Update = "per-broker"
	ClusterWide Update = "cluster-wide"
)

// Meaning says what StreamBus does with a property.
type Meaning string

// Meanings.
const (
	Served   Meaning = "served"   // it has Kafka's effect
	Accepted Meaning = "accepted" // it is parsed and checked, and has no effect
	Own      Meaning = "own"      // StreamBus's own key, unknown to Kafka
)

// Key is one row of the table.
type Key struct {
	Name      string
	Type      Type
	Default   string // as it would be written; see HasDefault
	NoDefault bool   // Kafka has null here: the property has no value until it is set
	Scope     Scope
	Update    Update
	Sensitive bool     // its value is never shown
	Doc       string   // a short sentence
	Valid     Valid    // what is allowed; nil is any value of the type
	Synonyms  []string // broker scope: names tried in order (the name itself first); topic scope: broker properties it defaults to
	Meaning   Meaning
}

// Keys returns the whole table: broker scope by name, then topic scope by name. The result is shared: don't change it.
func Keys() []Key { return table }

// Lookup finds a broker property.
func Lookup(name string) (*Key, bool) { return lookup(BrokerScope, name) }

// LookupTopic finds a topic property.
func LookupTopic(name string) (*Key, bool) { return lookup(TopicScope, name) }
