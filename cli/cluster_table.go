package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteTable prints the sums, the quorum, the nodes and, if they were asked for, the partitions in trouble.
func (c *ClusterDescription) WriteTable(w io.Writer) error {
	t := NewTableWriter(w)
	t.Row("cluster", orDash(c.ID))
	controller := orNone(c.Controller)
	if c.ControllerEpoch >= 0 {
		controller += fmt.Sprintf(" (epoch %d)", c.ControllerEpoch)
	}
	t.Row("controller", controller)
	n := &c.Totals
	t.Row("topics", n.Topics)
	t.Row("partitions", fmt.Sprintf("%d, %d replicas, %d bytes", n.Partitions, n.Replicas, n.Bytes))
	for _, trouble := range Troubles {
		t.Row(trouble, *n.of(trouble))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, write := range []func(io.Writer) error{c.writeQuorum, c.writeNodes, c.writeTroubled} {
		if err := write(w); err != nil {
			return err
		}
	}
	return nil
}

func (c *ClusterDescription) writeQuorum(w io.Writer) error {
	if c.Quorum == nil {
		return nil
	}
	fmt.Fprintln(w)
	t := NewTableWriter(w, "QUORUM", "STATUS", "END", "LAG", "LAST-FETCH", "LAST-CAUGHT-UP", "DIRECTORY")
	for i := range c.Quorum.Members {
		m := &c.Quorum.Members[i]
		end := &m.End
		if m.End < 0 {
			end = nil
		}
		t.Row(m.Node, m.status(), orMinus(end), orMinus(m.Lag), timeCell(m.LastFetch), timeCell(m.LastCaughtUp), orDash(m.Directory))
	}
	return t.Flush()
}

func (m *QuorumMember) status() string {
	switch {
	case m.Leader:
		return "leader"
	case m.Voter:
		return "voter"
	}
	return "observer"
}

func timeCell(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Format("2006-01-02T15:04:05.000Z07:00")
}

func (c *ClusterDescription) writeNodes(w io.Writer) error {
	fmt.Fprintln(w)
	t := NewTableWriter(w, "NODE", "ADDRESS", "RACK", "ROLES", "STATE", "LEADERS", "REPLICAS", "BYTES")
	for i := range c.Nodes {
		n := &c.Nodes[i]
		t.Row(n.ID, orDash(n.Address), orDash(n.Rack), orDash(strings.Join(n.Roles, ",")), n.State, n.Leaders, n.Replicas, orMinus(n.Bytes))
	}
	return t.Flush()
}

func (c *ClusterDescription) writeTroubled(w io.Writer) error {
	if !c.whatToShow.Partitions {
		return nil
	}
	fmt.Fprintln(w)
	if len(c.Troubled) == 0 {
		_, err := fmt.Fprintln(w, "no partition is in trouble")
		return err
	}
	t := NewTableWriter(w, "TOPIC", "PARTITION", "LEADER", "REPLICAS", "ISR", "MIN-ISR", "TROUBLE")
	for i := range c.Troubled {
		p := &c.Troubled[i]
		minISR := "-"
		if p.MinISR > 0 {
			minISR = fmt.Sprint(p.MinISR)
		}
		t.Row(p.Topic, p.Partition, orNone(p.Leader), joinInts(p.Replicas), orDash(joinInts(p.ISR)), minISR, strings.Join(p.Troubles, ", "))
	}
	return t.Flush()
}
