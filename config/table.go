package config

import (
	"cmp"
	"slices"
)

// The table, in order, and its index. Both are made once from the rows in the keys_*.go files and never change.
var (
	table = slices.Concat(brokerTable(), topicTable())
	index = indexTable(slices.Concat(table, groupRows, clientMetricsRows))

	topicRows         = table[len(table)-len(topicKeys):]
	groupRows         = entityTable(groupConfigKeys, GroupScope)
	clientMetricsRows = entityTable(clientMetricsKeys, ClientMetricsScope)
)

func brokerTable() []Key {
	rows := slices.Concat(serverKeys, logKeys, replicaKeys, quorumKeys, groupKeys, coordinatorKeys, securityKeys,
		remoteKeys, metricKeys, ownKeys)
	return finish(rows, BrokerScope)
}

func topicTable() []Key { return finish(slices.Clone(topicKeys), TopicScope) }

func finish(rows []Key, scope Scope) []Key {
	for i := range rows {
		k := &rows[i]
		k.Scope = scope
		k.Sensitive = k.Type == Password
		if k.Update == "" {
			k.Update = ReadOnly
		}
		switch scope {
		case BrokerScope:
			k.Synonyms = brokerSynonyms[k.Name]
		case TopicScope:
			k.Synonyms = topicSynonyms[k.Name]
			fallthrough
		default:
			k.Update = ClusterWide
		}
	}
	slices.SortFunc(rows, func(a, b Key) int { return cmp.Compare(a.Name, b.Name) })
	return rows
}

type tableKey struct {
	scope Scope
	name  string
}

func indexTable(rows []Key) map[tableKey]*Key {
	m := make(map[tableKey]*Key, len(rows))
	for i := range rows {
		m[tableKey{rows[i].Scope, rows[i].Name}] = &rows[i]
	}
	return m
}

func lookup(scope Scope, name string) (*Key, bool) {
	k, ok := index[tableKey{scope, name}]
	return k, ok
}

// check parses text as a value of the key and tests its range.
func (k *Key) check(text string) (any, error) {
	parsed, reason := parse(k.Type, text)
	return k.allow(text, parsed, reason)
}

// checkSet is check for what is set through Kafka's API, where an element that a list has twice counts once.
func (k *Key) checkSet(text string) (any, error) {
	parsed, reason := parse(k.Type, text)
	if list, ok := parsed.([]string); ok {
		parsed = distinct(list)
	}
	return k.allow(text, parsed, reason)
}

func distinct(list []string) []string {
	out := list[:0:0]
	for _, s := range list {
		if s == "" || !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (k *Key) allow(text string, parsed any, reason string) (any, error) {
	sentence := ""
	if reason == "" && k.Valid != nil {
		if reason = k.Valid.Check(parsed); reason != "" && !k.Sensitive {
			if v, ok := k.Valid.(sentenced); ok {
				sentence = v.Sentence(k.Name, parsed)
			}
		}
	}
	if reason == "" {
		return parsed, nil
	}
	if k.Sensitive {
		text = hidden
	}
	return nil, &Error{Key: k.Name, Value: text, Reason: reason, Text: sentence}
}

const hidden = "[hidden]"
