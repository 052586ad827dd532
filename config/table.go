package config

import (
	"cmp"
	"slices"
)

// The table, in order, and its index. Both are made once from the rows in the keys_*.go files and never change.
var (
	table = slices.Concat(brokerTable(), topicTable())
	index = indexTable(table)

	topicRows = table[len(table)-len(topicKeys):]
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
		if scope == TopicScope {
			k.Update = ClusterWide
			k.Synonyms = topicSynonyms[k.Name]
		} else {
			k.Synonyms = brokerSynonyms[k.Name]
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
	if reason == "" && k.Valid != nil {
		reason = k.Valid.Check(parsed)
	}
	if reason == "" {
		return parsed, nil
	}
	if k.Sensitive {
		text = hidden
	}
	return nil, &Error{Key: k.Name, Value: text, Reason: reason}
}

const hidden = "[hidden]"
