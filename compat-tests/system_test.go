package compat

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// system is what clients are tested against: one broker, or several that are a cluster.
type system interface {
	bootstrap() string // the addresses of its brokers, as clients take them
	replicas() int     // what topics of the tests have
}

func (b *broker) bootstrap() string { return b.addr }
func (b *broker) replicas() int     { return 1 }

func seeds(sys system) []string { return strings.Split(sys.bootstrap(), ",") }

// twoInSync holds on every node of a cluster for clients: of three replicas two must be in sync, also of the coordinators'.
var twoInSync = []string{"--set", "min.insync.replicas=2"}

// startThree starts a cluster of three on the loopback for clients.
func startThree(t testing.TB, flags ...string) *cluster {
	t.Helper()
	return startCluster(t, nil, slices.Concat(twoInSync, flags)...)
}

// votersOf is what controller.quorum.voters says of the nodes.
func votersOf(nodes []*broker) string {
	var voters []string
	for _, b := range nodes {
		voters = append(voters, fmt.Sprintf("%d@%s", b.id, b.cluster))
	}
	return strings.Join(voters, ",")
}

func (c *cluster) replicas() int { return min(3, len(c.nodes)) }

// whole waits until every node tells of all nodes, and of every partition that all its replicas are in sync.
func (c *cluster) whole() {
	c.t.Helper()
	for _, b := range c.nodes {
		deadline := time.Now().Add(wholeWithin)
		for missing := c.missing(b); missing != ""; missing = c.missing(b) {
			if time.Now().After(deadline) {
				c.t.Fatalf("the cluster is not whole after %v: %s, says node %d", wholeWithin, missing, b.id)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// wholeWithin bounds how long replicas may take to be in sync again on a busy machine.
const wholeWithin = 2 * time.Minute

// missing says what a node does not see of a whole cluster.
func (c *cluster) missing(b *broker) string {
	m, err := metadataOf(b.addr)
	if err != nil {
		return err.Error()
	}
	if len(m.Brokers) != len(c.nodes) {
		return fmt.Sprintf("%d brokers of %d", len(m.Brokers), len(c.nodes))
	}
	for _, topic := range m.Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 || len(p.ISR) < len(p.Replicas) {
				return fmt.Sprintf("%s-%d has leader %d, replicas %d, in sync %d, error %d", *topic.Topic, p.Partition, p.Leader, p.Replicas, p.ISR, p.ErrorCode)
			}
		}
	}
	return ""
}

// verify stops all nodes at once and checks their directories.
func (c *cluster) verify() {
	c.t.Helper()
	var stopping sync.WaitGroup
	for _, b := range c.nodes {
		stopping.Go(b.verify)
	}
	stopping.Wait()
}

// clusterFlag are the flags by which a broker is one of several.
func (b *broker) clusterFlags() []string {
	if b.voters == "" {
		return nil
	}
	return []string{"--node-id", strconv.Itoa(b.id), "--quorum", b.voters}
}
