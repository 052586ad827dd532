package cli

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// WriteTable prints a line about each group and the table of its view; the states of all groups are one table.
func (l GroupDescriptions) WriteTable(w io.Writer) error {
	if len(l) > 0 && l[0].view == GroupState {
		return l.writeStates(w)
	}
	return writeTables(w, l, (*GroupDescription).writeTable)
}

func (d *GroupDescription) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "group %s  %s  %s  members %d  coordinator %d\n", d.Group, d.Type, d.State, d.MemberCount, d.Coordinator.ID)
	if d.view == GroupMembers {
		return d.writeMembers(w)
	}
	return d.writeOffsets(w)
}

func (l GroupDescriptions) writeStates(w io.Writer) error {
	t := NewTableWriter(w, "GROUP", "TYPE", "STATE", "ASSIGNOR", "MEMBERS", "COORDINATOR")
	for _, d := range l {
		t.Row(d.Group, d.Type, d.State, orDash(d.Assignor), d.MemberCount,
			fmt.Sprintf("%d (%s:%d)", d.Coordinator.ID, d.Coordinator.Host, d.Coordinator.Port))
	}
	return t.Flush()
}

func (d *GroupDescription) writeOffsets(w io.Writer) error {
	if len(d.Partitions) == 0 {
		_, err := fmt.Fprintln(w, "no offsets and no assignments")
		return err
	}
	t := NewTableWriter(w, "TOPIC", "PARTITION", "COMMITTED", "LOG-END", "LAG", "MEMBER", "HOST", "CLIENT-ID")
	for _, p := range d.Partitions {
		cells := []any{
			p.Topic, p.Partition, orMinus(p.Committed), offsetCell(p.LogEnd), orMinus(p.Lag),
			orDash(p.MemberID), orDash(p.Host), orDash(p.ClientID),
		}
		if p.Error != "" {
			cells = append(cells, p.Error)
		}
		t.Row(cells...)
	}
	if err := t.Flush(); err != nil || d.TotalLag == nil {
		return err
	}
	_, err := fmt.Fprintf(w, "total lag %d\n", *d.TotalLag)
	return err
}

func orMinus(v *int64) string {
	if v == nil {
		return "-"
	}
	return strconv.FormatInt(*v, 10)
}

func (d *GroupDescription) writeMembers(w io.Writer) error {
	if len(d.Members) == 0 {
		_, err := fmt.Fprintln(w, "no members")
		return err
	}
	t := NewTableWriter(w, "MEMBER", "INSTANCE", "HOST", "CLIENT-ID", "PARTITIONS", "ASSIGNMENT")
	for _, m := range d.Members {
		count := 0
		var parts []string
		for topic, partitions := range m.Assignment {
			count += len(partitions)
			parts = append(parts, topic+":"+joinInts(partitions))
		}
		slices.Sort(parts)
		t.Row(m.MemberID, orDash(m.InstanceID), m.Host, orDash(m.ClientID), count, orDash(strings.Join(parts, " ")))
	}
	return t.Flush()
}
