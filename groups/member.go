package groups

import (
	"bytes"
	"slices"
	"strings"
	"time"
)

// member of a classic group.
type member struct {
	id               string
	instance         *string // of a static member
	clientID         string
	clientHost       string
	rebalanceTimeout time.Duration
	sessionTimeout   time.Duration
	protocolType     string
	protocols        []Protocol // in the order in which the member prefers them; after a load only the chosen one
	assignment       []byte

	join, sync  parked
	isNew       bool // it waits for its first generation
	pendingSync bool // it has not sent SyncGroup in this generation
	alarm       alarm
}

// newMember keeps nothing of the request's memory.
func newMember(in JoinGroup, id string) *member {
	return &member{
		id: strings.Clone(id), instance: cloneString(in.InstanceID), clientID: strings.Clone(in.ClientID),
		clientHost: strings.Clone(in.ClientHost), rebalanceTimeout: in.RebalanceTimeout, sessionTimeout: in.SessionTimeout,
		protocolType: strings.Clone(in.ProtocolType), protocols: cloneProtocols(in.Protocols),
	}
}

// successor is a static member under a new id.
func (mb *member) successor(id string) *member {
	return &member{
		id: strings.Clone(id), instance: mb.instance, clientID: mb.clientID, clientHost: mb.clientHost,
		rebalanceTimeout: mb.rebalanceTimeout, sessionTimeout: mb.sessionTimeout,
		protocolType: mb.protocolType, protocols: mb.protocols, assignment: mb.assignment,
	}
}

// metadata is what the member says to a protocol.
func (mb *member) metadata(protocol *string) []byte {
	if protocol == nil {
		return nil
	}
	for i := range mb.protocols {
		if mb.protocols[i].Name == *protocol {
			return mb.protocols[i].Metadata
		}
	}
	return nil
}

// says tells whether the member has said just that before.
func (mb *member) says(ps []Protocol) bool {
	return slices.EqualFunc(mb.protocols, ps, func(a, b Protocol) bool {
		return a.Name == b.Name && bytes.Equal(a.Metadata, b.Metadata)
	})
}

// alive tells that an expired session is no reason to remove the member: a request of it waits here, and its session begins
// anew with the answer. A new member does not have that excuse, see newMemberJoinTimeout.
func (mb *member) alive() bool { return !mb.isNew && (mb.join.waiting || mb.sync.waiting) }

func cloneString(s *string) *string {
	if s == nil {
		return nil
	}
	c := strings.Clone(*s)
	return &c
}

func cloneProtocols(ps []Protocol) []Protocol {
	out := make([]Protocol, len(ps))
	for i, p := range ps {
		out[i] = Protocol{Name: strings.Clone(p.Name), Metadata: bytes.Clone(p.Metadata)}
	}
	return out
}
