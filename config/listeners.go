package config

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Listener is one address that clients, brokers or other nodes connect to.
type Listener struct {
	Name     string // as in Kafka, upper case by habit; unique
	Protocol string // PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
	Host     string // empty binds all addresses
	Port     int32  // 0 lets the system choose
	// What others are told. AdvertisedPort is 0 where Port is and nothing else was said: it is the bound port then.
	AdvertisedHost string
	AdvertisedPort int32
}

// Addr is what net.Listen wants.
func (l Listener) Addr() string { return net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))) }

// Listeners returns the listeners for clients and brokers, in the order of the property. Controller listeners are not
// among them: see ClusterListener.
func (c *Config) Listeners() ([]Listener, error) {
	all, err := c.allListeners()
	if err != nil {
		return nil, err
	}
	own := slices.DeleteFunc(all, c.isControllerListener)
	if len(own) == 0 && slices.Contains(c.List("process.roles"), "broker") {
		return nil, c.bad("listeners", "it needs a listener that is not a controller listener")
	}
	return own, nil
}

// ClusterListener returns the listener for other nodes: cluster.listener if it is set, else the first controller
// listener in listeners, else the default of cluster.listener. A broker that is no controller has no controller listener in
// Kafka; here the quorum must reach it, so it listens beside its first listener, at a port that the system chooses.
func (c *Config) ClusterListener() (Listener, error) {
	if c.Origin("cluster.listener") == OriginDefault {
		all, err := c.allListeners()
		if err != nil {
			return Listener{}, err
		}
		if i := slices.IndexFunc(all, c.isControllerListener); i >= 0 {
			return all[i], nil
		}
		if !slices.Contains(c.List("process.roles"), "controller") {
			first := all[0]
			return Listener{Name: "CLUSTER", Protocol: "PLAINTEXT", Host: first.Host, AdvertisedHost: first.AdvertisedHost}, nil
		}
	}
	host, port, err := splitHostPort(c.String("cluster.listener"))
	if err != nil {
		return Listener{}, c.bad("cluster.listener", err.Error())
	}
	l := Listener{Name: "CLUSTER", Protocol: "PLAINTEXT", Host: host, Port: port, AdvertisedHost: host, AdvertisedPort: port}
	if c.IsSet("cluster.advertised.listener") {
		l.AdvertisedHost, l.AdvertisedPort, err = splitHostPort(c.String("cluster.advertised.listener"))
		if err != nil {
			return Listener{}, c.bad("cluster.advertised.listener", err.Error())
		}
	} else if wildcard(host) {
		l.AdvertisedHost = c.hostname
	}
	return l, nil
}

// InterBrokerListener is the name of the listener that brokers use among themselves; by default the first one. A
// controller without a broker has none.
func (c *Config) InterBrokerListener() (string, error) {
	listeners, err := c.Listeners()
	if err != nil {
		return "", err
	}
	name := c.String("inter.broker.listener.name")
	if len(listeners) == 0 {
		return "", nil
	}
	if name == "" {
		return listeners[0].Name, nil
	}
	if !slices.ContainsFunc(listeners, func(l Listener) bool { return l.Name == name }) {
		return "", c.bad("inter.broker.listener.name", "it must be the name of one of the listeners")
	}
	return name, nil
}

// bad makes the error about the value that a property has now.
func (c *Config) bad(key, reason string) error {
	v := c.get(key)
	return &Error{Key: key, Value: v.text, Reason: reason, Source: v.source}
}

func (c *Config) isControllerListener(l Listener) bool {
	return slices.Contains(c.List("controller.listener.names"), l.Name)
}

// allListeners parses listeners, their protocols and what they advertise, and holds the rules between them.
func (c *Config) allListeners() ([]Listener, error) {
	protocols, err := c.protocols()
	if err != nil {
		return nil, err
	}
	listeners, err := c.parseListeners("listeners", protocols)
	if err != nil {
		return nil, err
	}
	if len(listeners) == 0 {
		return nil, c.bad("listeners", "it needs at least one listener")
	}
	if err := c.distinct(listeners); err != nil {
		return nil, err
	}
	for _, l := range listeners {
		if l.Protocol != "PLAINTEXT" {
			return nil, c.bad("listeners", fmt.Sprintf(
				"listener %s is %s, but only PLAINTEXT listeners are served so far", l.Name, l.Protocol))
		}
	}
	return listeners, c.advertise(listeners, protocols)
}

// distinct refuses two listeners of one name or one port; two of one port may be IPv4 and IPv6.
func (c *Config) distinct(listeners []Listener) error {
	for i, a := range listeners {
		for _, b := range listeners[:i] {
			if a.Name == b.Name {
				return c.bad("listeners", "listener "+a.Name+" is there twice")
			}
			if a.Port == b.Port && a.Port != 0 && !ipv4And6(a.Host, b.Host) {
				return c.bad("listeners", fmt.Sprintf("port %d is there twice", a.Port))
			}
		}
	}
	return nil
}

func ipv4And6(a, b string) bool {
	ipA, ipB := net.ParseIP(a), net.ParseIP(b)
	return ipA != nil && ipB != nil && (ipA.To4() == nil) != (ipB.To4() == nil)
}

// advertise fills in what each listener tells others.
func (c *Config) advertise(listeners []Listener, protocols map[string]string) error {
	var given []Listener
	if c.String("advertised.listeners") != "" {
		var err error
		if given, err = c.parseListeners("advertised.listeners", protocols); err != nil {
			return err
		}
	}
	for _, g := range given {
		i := c.advertises(g, listeners)
		if i < 0 {
			if slices.Contains(c.List("controller.listener.names"), g.Name) {
				continue // Kafka's brokers advertise the quorum's controllers so; they are named elsewhere here
			}
			return c.bad("advertised.listeners", notListened(g.Name))
		}
		if wildcard(g.Host) && g.Host != "" {
			return c.bad("advertised.listeners", g.Host+" is not an address that a client can connect to")
		}
		listeners[i].AdvertisedHost, listeners[i].AdvertisedPort = g.Host, g.Port
		if g.Host == "" {
			listeners[i].AdvertisedHost = c.hostname
		}
	}
	for i := range listeners {
		if err := c.advertiseSelf(&listeners[i]); err != nil {
			return err
		}
	}
	return nil
}

// advertises is the place of the listener that an advertised address is for: the one of its name, or, if it has none, the
// only one that is not a controller's.
func (c *Config) advertises(g Listener, listeners []Listener) int {
	place := -1
	for i, l := range listeners {
		switch {
		case l.Name == g.Name:
			return i
		case g.Name == "" && !c.isControllerListener(l):
			if place >= 0 {
				return -1
			}
			place = i
		}
	}
	return place
}

// advertiseSelf lets a listener without an advertised address advertise where it is bound.
func (c *Config) advertiseSelf(l *Listener) error {
	if l.AdvertisedHost != "" {
		return nil
	}
	l.AdvertisedHost, l.AdvertisedPort = l.Host, l.Port
	switch {
	case l.Host == "" || c.isControllerListener(*l) && wildcard(l.Host):
		l.AdvertisedHost = c.hostname
	case wildcard(l.Host):
		return c.bad("listeners", fmt.Sprintf(
			"clients can't connect to %s: say in advertised.listeners under which address they reach listener %s, like %s://myhost:%d",
			l.Host, l.Name, l.Name, l.Port))
	}
	return nil
}

func notListened(name string) string {
	if name == "" {
		return "with several listeners each address must say for which it is, like NAME://host:port"
	}
	return "listener " + name + " is not in listeners"
}

func wildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

var securityProtocols = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}

// protocols is the map from a listener's name to its protocol. Controller listeners that the default map lacks are
// PLAINTEXT, as in Kafka.
func (c *Config) protocols() (map[string]string, error) {
	const key = "listener.security.protocol.map"
	m := make(map[string]string)
	for _, pair := range splitList(c.String(key)) {
		name, protocol, ok := strings.Cut(pair, ":")
		name, protocol = strings.TrimSpace(name), strings.ToUpper(strings.TrimSpace(protocol))
		switch {
		case !ok || name == "":
			return nil, c.bad(key, "it must be name:protocol pairs divided by commas")
		case !slices.Contains(securityProtocols, protocol):
			return nil, c.bad(key, "protocols must be of "+strings.Join(securityProtocols, ", "))
		case m[strings.ToUpper(name)] != "":
			return nil, c.bad(key, "listener "+name+" is there twice")
		}
		m[strings.ToUpper(name)] = protocol
	}
	if c.Origin(key) == OriginDefault {
		for _, name := range c.List("controller.listener.names") {
			if m[name] == "" {
				m[name] = "PLAINTEXT"
			}
		}
	}
	return m, nil
}

// listenerURL is NAME://host:port, where the host may be empty or in brackets. Without NAME:// a listener is PLAINTEXT,
// and an advertised address is for the only listener there is.
var listenerURL = regexp.MustCompile(`^(?:([A-Za-z0-9_.-]+)://)?(\[[0-9A-Fa-f:.%A-Za-z0-9]*\]|[A-Za-z0-9_.-]*):(\d{1,5})$`)

func (c *Config) parseListeners(key string, protocols map[string]string) ([]Listener, error) {
	var listeners []Listener
	for _, text := range c.List(key) {
		parts := listenerURL.FindStringSubmatch(text)
		if parts == nil {
			return nil, c.bad(key, fmt.Sprintf("%q must be NAME://host:port", text))
		}
		port, _ := strconv.Atoi(parts[3])
		if port > 65535 {
			return nil, c.bad(key, fmt.Sprintf("port %d is above 65535", port))
		}
		name := strings.ToUpper(parts[1])
		if name == "" && key == "listeners" {
			name = "PLAINTEXT"
		}
		if name != "" && protocols[name] == "" {
			return nil, c.bad(key, "listener "+name+" has no protocol in listener.security.protocol.map")
		}
		listeners = append(listeners, Listener{
			Name: name, Protocol: protocols[name], Host: strings.Trim(parts[2], "[]"), Port: int32(port)})
	}
	return listeners, nil
}

func splitHostPort(s string) (string, int32, error) {
	host, portText, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, fmt.Errorf("it must be host:port")
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("its port must be between 0 and 65535")
	}
	return host, int32(port), nil
}
