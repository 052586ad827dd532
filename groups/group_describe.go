package groups

// describeGroup tells what a group is like now. One that isn't there is Dead. Kafka: GroupMetadataManager.describeGroups.
func (m *Machine) describeGroup(in DescribeGroup) DescribedGroup {
	g := m.groups[in.Group]
	if g == nil {
		return DescribedGroup{State: "Dead"}
	}
	out := DescribedGroup{State: g.state.String(), ProtocolType: g.protocolType, Members: make([]DescribedMember, len(g.order))}
	if g.state == stable && g.protocol != nil {
		out.Protocol = *g.protocol
	}
	for i, mb := range g.order {
		d := DescribedMember{
			MemberID: mb.id, InstanceID: mb.instance, ClientID: mb.clientID, ClientHost: mb.clientHost, Assignment: mb.assignment,
		}
		if g.state == stable {
			d.Metadata = mb.metadata(g.protocol)
		}
		out.Members[i] = d
	}
	return out
}
