package groups

import (
	"slices"
	"strings"
)

// classicType is the only type of group that there is so far.
const classicType = "classic"

// listGroups tells which groups there are, by id. A filter that names nothing known lets nothing through. Kafka:
// GroupMetadataManager.listGroups.
func (m *Machine) listGroups(in ListGroups) []ListedGroup {
	out := []ListedGroup{}
	for _, g := range m.sortedGroups() {
		row := ListedGroup{Group: g.id, ProtocolType: g.protocolType, State: g.state.String(), Type: classicType}
		if passes(in.States, row.State) && passes(in.Types, row.Type) {
			out = append(out, row)
		}
	}
	return out
}

func passes(filter []string, what string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool {
		return strings.EqualFold(strings.TrimSpace(f), what)
	})
}
