package config

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

// Voter is a member of the first metadata quorum, as controller.quorum.voters names it.
type Voter struct {
	ID   int32
	Addr string // host:port of its cluster listener
}

// Voters returns the members that controller.quorum.voters names; none if it is not set.
func (c *Config) Voters() ([]Voter, error) {
	const key = "controller.quorum.voters"
	voters, reason := parseVoters(c.List(key))
	if reason != "" {
		return nil, c.bad(key, reason)
	}
	return voters, nil
}

func parseVoters(list []string) (voters []Voter, reason string) {
	for _, text := range list {
		id, addr, ok := strings.Cut(text, "@")
		n, err := strconv.ParseInt(strings.TrimSpace(id), 10, 32)
		if !ok || err != nil || n < 0 {
			return nil, "it must be id@host:port entries divided by commas"
		}
		host, port, err := splitHostPort(strings.TrimSpace(addr))
		if err != nil {
			return nil, err.Error()
		}
		if slices.ContainsFunc(voters, func(v Voter) bool { return v.ID == int32(n) }) {
			return nil, "node " + id + " is there twice"
		}
		voters = append(voters, Voter{ID: int32(n), Addr: net.JoinHostPort(host, strconv.Itoa(int(port)))})
	}
	return voters, ""
}

// voterList allows id@host:port entries.
type voterList struct{}

func (voterList) Check(p any) string {
	_, reason := parseVoters(p.([]string))
	return reason
}

func (voterList) String() string { return "non-empty list" }

// serverList allows host:port entries.
type serverList struct{}

func (serverList) Check(p any) string {
	for _, text := range p.([]string) {
		i := strings.LastIndexByte(text, ':')
		if i <= 0 || strings.ContainsAny(text, "@/ *") {
			return "it must be host:port entries divided by commas"
		}
		if _, err := strconv.ParseUint(text[i+1:], 10, 16); err != nil {
			return "ports must be between 0 and 65535"
		}
	}
	return ""
}

func (serverList) String() string { return "non-empty list" }

// Join returns the addresses in controller.quorum.bootstrap.servers that are not this node's own cluster listener. None
// means that there is nobody to join: the node is a new quorum of its own.
func (c *Config) Join() ([]string, error) {
	self, err := c.ClusterListener()
	if err != nil {
		return nil, err
	}
	var others []string
	for _, addr := range c.List("controller.quorum.bootstrap.servers") {
		host, port, err := splitHostPort(addr)
		if err != nil {
			return nil, c.bad("controller.quorum.bootstrap.servers", err.Error())
		}
		if !c.isSelf(self, host, port) {
			others = append(others, addr)
		}
	}
	return others, nil
}

// isSelf says whether an address is the cluster listener's: as it is bound, as it is advertised, or, where it is bound to
// every address or the loopback, by one of this machine's names.
func (c *Config) isSelf(l Listener, host string, port int32) bool {
	if port == l.AdvertisedPort && host == l.AdvertisedHost {
		return true
	}
	if port != l.Port {
		return false
	}
	loopback := host == "localhost" || net.ParseIP(host).IsLoopback()
	switch {
	case host == l.Host:
		return true
	case wildcard(l.Host):
		return loopback || host == c.hostname
	}
	return loopback && (l.Host == "localhost" || net.ParseIP(l.Host).IsLoopback())
}
