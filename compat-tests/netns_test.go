package compat

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// network is a network namespace for each node and one for a router between them, where links are cut: a rule for each
// pair of source and destination, so that packets vanish without a word, one way or both, as on a broken line. The test
// itself, and with it the clients, is one more place behind the router. Addresses are from 198.18.0.0/15, which is set
// aside for such tests.
type network struct {
	t      testing.TB
	prefix string // of the namespaces' names
	subnet string // first three bytes of all addresses
	cuts   map[[2]int]bool
}

// outside is the number of the place of the test and the clients; nodes count from 1.
const outside = 0

// noNamespaces says why no links can be cut here, and nothing where they can: that takes Linux, root and the right to make
// network namespaces, which root of a container may lack.
func noNamespaces() string {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		return "cutting links takes network namespaces, and those take root"
	}
	name := fmt.Sprintf("sb%x-try", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		return fmt.Sprintf("no network namespace can be made, so no link is cut: %v: %s", err, out)
	}
	if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
		return fmt.Sprintf("a network namespace can't be removed: %v: %s", err, out)
	}
	return ""
}

// newNetwork makes the namespaces and their links; all of them go with the test.
func newNetwork(t testing.TB) *network {
	t.Helper()
	if why := noNamespaces(); why != "" {
		leaveOut(t, "%s", why)
	}
	pid := os.Getpid()
	n := &network{
		t: t, prefix: fmt.Sprintf("sb%x", pid), subnet: fmt.Sprintf("198.%d.%d", 18+pid/250%2, pid%250), cuts: map[[2]int]bool{},
	}
	t.Cleanup(n.remove)
	n.ip("netns", "add", n.router())
	n.ip("-n", n.router(), "link", "set", "lo", "up")
	for place := outside; place <= clusterNodes; place++ {
		n.connect(place)
	}
	n.run("ip", "netns", "exec", n.router(), "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
	return n
}

// connect links a place with the router: a /30 for each, with the router's end first.
func (n *network) connect(place int) {
	inner, outer := fmt.Sprintf("%s.%d", n.prefix, place), fmt.Sprintf("r%d", place)
	n.ip("link", "add", inner, "type", "veth", "peer", "name", outer, "netns", n.router())
	n.ip("-n", n.router(), "addr", "add", n.address(4*place+1)+"/30", "dev", outer)
	n.ip("-n", n.router(), "link", "set", outer, "up")
	if place == outside {
		n.ip("addr", "add", n.host(place)+"/30", "dev", inner)
		n.ip("link", "set", inner, "up")
		n.ip("route", "add", n.subnet+".0/24", "via", n.address(1))
		return
	}
	n.ip("netns", "add", n.namespace(place))
	n.ip("link", "set", inner, "netns", n.namespace(place))
	n.ip("-n", n.namespace(place), "link", "set", "lo", "up")
	n.ip("-n", n.namespace(place), "addr", "add", n.host(place)+"/30", "dev", inner)
	n.ip("-n", n.namespace(place), "link", "set", inner, "up")
	n.ip("-n", n.namespace(place), "route", "add", "default", "via", n.address(4*place+1))
}

func (n *network) router() string             { return n.prefix + "-r" }
func (n *network) namespace(place int) string { return fmt.Sprintf("%s-%d", n.prefix, place) }
func (n *network) address(last int) string    { return fmt.Sprintf("%s.%d", n.subnet, last) }

// host is the address of a place.
func (n *network) host(place int) string { return n.address(4*place + 2) }

// cutOneWay drops what goes from one place to another.
func (n *network) cutOneWay(from, to int) {
	if !n.cuts[[2]int{from, to}] {
		n.rule("add", from, to)
		n.cuts[[2]int{from, to}] = true
	}
}

// cut drops what goes between two places.
func (n *network) cut(a, b int) {
	n.cutOneWay(a, b)
	n.cutOneWay(b, a)
}

// heal takes all cuts back.
func (n *network) heal() {
	for pair := range n.cuts {
		n.rule("del", pair[0], pair[1])
		delete(n.cuts, pair)
	}
}

func (n *network) rule(verb string, from, to int) {
	n.ip("-n", n.router(), "rule", verb, "from", n.host(from), "to", n.host(to), "blackhole", "pref", fmt.Sprint(100+10*from+to))
}

func (n *network) ip(args ...string) { n.run(append([]string{"ip"}, args...)...) }

func (n *network) run(args ...string) {
	n.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// remove takes everything down that is there. A veth pair goes with the namespace of either end.
func (n *network) remove() {
	for place := 1; place <= clusterNodes; place++ {
		exec.Command("ip", "netns", "del", n.namespace(place)).Run()
	}
	exec.Command("ip", "link", "del", fmt.Sprintf("%s.%d", n.prefix, outside)).Run()
	exec.Command("ip", "netns", "del", n.router()).Run()
}
