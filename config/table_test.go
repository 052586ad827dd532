package config

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

// ownDefaults are the defaults that differ from Kafka's, with the reason.
var ownDefaults = map[string]string{
	"listeners":                    "nothing is served beyond this machine before somebody says so",
	"log.dir":                      "data lies beside the place of the start, not in /tmp",
	"node.id":                      "a start without configuration is node 1",
	"process.roles":                "a start without configuration is broker and controller",
	"controller.listener.names":    "the usual name, so that a listener of that name is the cluster listener",
	"broker.heartbeat.interval.ms": "failover is faster",
	"broker.session.timeout.ms":    "failover is faster",
}

// ownRefusals are values that Kafka takes and StreamBus does not.
var ownRefusals = map[string]string{
	"NaN": "it is in no range",
}

type golden struct {
	scope                              Scope
	name, typ, def, update, acceptance string
}

func readGolden(t *testing.T) (rows []golden, candidates []string) {
	t.Helper()
	f, err := os.Open("testdata/kafka-4.3.1.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if after, ok := strings.CutPrefix(lines.Text(), "# candidates: "); ok {
			candidates = strings.Split(after, "|")
		}
		c := strings.Split(lines.Text(), "\t")
		if len(c) == 6 {
			rows = append(rows, golden{Scope(c[0]), c[1], c[2], c[3], c[4], c[5]})
		}
	}
	return rows, candidates
}

func TestTableHasEveryKafkaPropertyWithItsTypeDefaultAndUpdateMode(t *testing.T) {
	rows, _ := readGolden(t)
	seen := map[tableKey]bool{}
	for _, g := range rows {
		if g.name == "internal.segment.bytes" {
			continue // only Kafka's own tests may set it
		}
		seen[tableKey{g.scope, g.name}] = true
		k, ok := lookup(g.scope, g.name)
		if !ok {
			t.Errorf("%s property %s is missing", g.scope, g.name)
			continue
		}
		if string(k.Type) != g.typ {
			t.Errorf("%s: type %s, Kafka's is %s", g.name, k.Type, g.typ)
		}
		def := format(k.defaultValue().parsed)
		if k.NoDefault {
			def = "<null>"
		}
		if g.def == "<none>" {
			g.def = "<null>"
		}
		if def != g.def && (g.scope == TopicScope || ownDefaults[g.name] == "") {
			t.Errorf("%s: default %q, Kafka's is %q", g.name, def, g.def)
		}
		if g.scope == BrokerScope && string(k.Update) != g.update {
			t.Errorf("%s: update mode %s, Kafka's is %s", g.name, k.Update, g.update)
		}
	}
	for _, k := range Keys() {
		if !seen[tableKey{k.Scope, k.Name}] && k.Meaning != Own {
			t.Errorf("%s property %s is not Kafka's", k.Scope, k.Name)
		}
	}
}

func TestTopicAndBrokerRangesAreKafkas(t *testing.T) {
	rows, candidates := readGolden(t)
	for _, g := range rows {
		k, ok := lookup(g.scope, g.name)
		if !ok {
			continue
		}
		for i, candidate := range candidates {
			if ownRefusals[candidate] != "" {
				continue
			}
			_, err := k.check(candidate)
			if kafka := g.acceptance[i] == '1'; (err == nil) != kafka {
				t.Errorf("%s property %s: value %q gives %v, Kafka takes it: %v", g.scope, g.name, candidate, err, kafka)
			}
		}
	}
}

func TestEveryRowIsDocumentedInOneLine(t *testing.T) {
	for _, k := range Keys() {
		if len(k.Doc) < 10 || strings.Contains(k.Doc, "\n") || !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: doc %q", k.Name, k.Doc)
		}
		if k.Meaning == "" {
			t.Errorf("%s has no meaning", k.Name)
		}
	}
}

func TestSynonymsAreInTheTable(t *testing.T) {
	for name, synonyms := range topicSynonyms {
		if _, ok := LookupTopic(name); !ok {
			t.Errorf("no topic property %s", name)
		}
		for _, s := range synonyms {
			if _, ok := Lookup(s); !ok {
				t.Errorf("%s: no broker property %s", name, s)
			}
		}
	}
}
