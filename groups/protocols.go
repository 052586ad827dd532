package groups

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"
)

// count adds n to how many members know each protocol of one.
func (g *group) count(mb *member, n int) {
	for i, p := range mb.protocols {
		if slices.ContainsFunc(mb.protocols[:i], func(q Protocol) bool { return q.Name == p.Name }) {
			continue // named twice, known once
		}
		if g.supported[p.Name] += n; g.supported[p.Name] == 0 {
			delete(g.supported, p.Name)
		}
	}
}

// supports tells whether one who speaks these protocols fits into the group.
func (g *group) supports(protocolType string, ps []Protocol) bool {
	if g.state == empty {
		return protocolType != "" && len(ps) > 0
	}
	if protocolType != g.protocolType {
		return false
	}
	return slices.ContainsFunc(ps, func(p Protocol) bool { return g.supported[p.Name] == len(g.members) })
}

// chooseProtocol is the election: each member votes for the first of its protocols that all members know. Where votes are
// equal, the one that was named first wins. There must be members.
func (g *group) chooseProtocol() string {
	votes := make(map[string]int, len(g.supported))
	var winner string
	var named []string
	for _, mb := range g.order {
		for _, p := range mb.protocols {
			if g.supported[p.Name] == len(g.members) {
				if votes[p.Name]++; votes[p.Name] == 1 {
					named = append(named, p.Name)
				}
				break
			}
		}
	}
	for i, name := range named {
		if i == 0 || votes[name] > votes[winner] {
			winner = name
		}
	}
	return winner
}

// learnTopics finds what the members of a consumer group are subscribed to. If one can't be understood nothing is known, and
// every topic counts as subscribed.
func (g *group) learnTopics() {
	g.subscribed, g.knowsTopics = nil, false
	if !g.isConsumer() {
		return
	}
	if len(g.members) == 0 {
		g.knowsTopics = true
		return
	}
	if g.protocol == nil {
		return
	}
	topics := map[string]struct{}{}
	for _, mb := range g.order {
		if !addSubscription(topics, mb.metadata(g.protocol)) {
			return
		}
	}
	g.subscribed, g.knowsTopics = topics, true
}

// subscribes tells whether offsets of the topic are in use by a live consumer.
func (g *group) subscribes(topic string) bool {
	if !g.knowsTopics {
		return g.isConsumer()
	}
	_, ok := g.subscribed[topic]
	return ok
}

// addSubscription reads the topics of a consumer's metadata, whose every version begins with a version, the topics and the
// user data. False if it is malformed.
func addSubscription(topics map[string]struct{}, metadata []byte) bool {
	b := kbin.Reader{Src: metadata}
	b.Int16()
	for n := b.ArrayLen(); n > 0; n-- {
		topic := b.UnsafeString()
		if !b.Ok() {
			return false
		}
		if _, ok := topics[topic]; !ok {
			topics[strings.Clone(topic)] = struct{}{}
		}
	}
	b.NullableBytes()
	return b.Ok()
}
