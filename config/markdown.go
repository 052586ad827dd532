package config

import (
	"fmt"
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
`)
	section(&b, BrokerScope, "Broker properties")
	section(&b, TopicScope, "Topic properties")
	return b.String()
}

func section(b *strings.Builder, scope Scope, title string) {
	fmt.Fprintf(b, "\n## %s\n\n| property | type | default | allowed | what it does |\n|---|---|---|---|---|\n", title)
	for i := range table {
		k := &table[i]
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
	case k.Scope == TopicScope && len(k.Synonyms) > 0:
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
	switch k.Meaning {
	case Own:
		return " (own)"
	case Accepted:
		return " (no effect)"
	}
	return ""
}
