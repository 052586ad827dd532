package config

import (
	"fmt"
	"slices"
	"strings"
)

// Markdown writes the table as a page of documentation.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# Configuration

Made from the table in package config (` + "`go test ./config -update`" + `). A value comes from the first of: command line flag,
` + "`--set key=value`" + `, environment (` + "`KAFKA_NODE_ID`" + ` is node.id; ` + "`__`" + ` stands for an underscore, ` + "`___`" + ` for a dash), the file given
with --config (the syntax of Java's properties), the default. ` + "`streambus config print`" + ` shows every value and where it came from.

"own" marks StreamBus's own properties. "no effect" marks Kafka's properties that are read and checked, and otherwise do
nothing here (yet): setting one gives a warning at the start, and so does a property that is not listed at all.

"while running" marks broker properties that can be changed while the broker runs (` + "`kafka-configs --alter --entity-type brokers`" + `): of one
broker, or also of all at once (` + "`--entity-default`" + `) unless it says "per broker". What is set so wins over what the broker was started with,
that of one broker over that of all; topics without a value of their own follow.
`)
	section(&b, BrokerScope, "Broker properties")
	section(&b, TopicScope, "Topic properties")
	section(&b, GroupScope, "Group properties")
	section(&b, ClientMetricsScope, "Properties of subscriptions to clients' metrics")
	return b.String()
}

func section(b *strings.Builder, scope Scope, title string) {
	fmt.Fprintf(b, "\n## %s\n\n| property | type | default | allowed | what it does |\n|---|---|---|---|---|\n", title)
	rows := slices.Concat(table, groupRows, clientMetricsRows)
	for i := range rows {
		k := &rows[i]
		if k.Scope != scope {
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s%s |\n", k.Name, k.Type, k.shownDefault(), k.shownRange(), k.Doc, k.remarks())
	}
}

func (k *Key) shownDefault() string {
	switch {
	case k.NoDefault:
		return "none"
	case k.Scope != BrokerScope && len(k.Synonyms) > 0:
		return strings.Join(k.Synonyms, ", ")
	case k.Default == "":
		return "empty"
	}
	return "`" + k.Default + "`"
}

func (k *Key) shownRange() string {
	if k.Valid == nil {
		return ""
	}
	return strings.ReplaceAll(k.Valid.String(), "|", `\|`)
}

func (k *Key) remarks() string {
	var remarks []string
	switch k.Meaning {
	case Own:
		remarks = append(remarks, "own")
	case Accepted:
		remarks = append(remarks, "no effect")
	}
	if k.Scope == BrokerScope && !needsRestart[k.Name] {
		switch k.Update {
		case ClusterWide:
			remarks = append(remarks, "while running")
		case PerBroker:
			remarks = append(remarks, "while running, per broker")
		}
	}
	if len(remarks) == 0 {
		return ""
	}
	return " (" + strings.Join(remarks, "; ") + ")"
}
