package doctor

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// remote is an address that no machine has (RFC 5737). Connections to it are led to this machine, so that a broker
// here looks like one elsewhere.
const remote = "192.0.2.1"

// world is what the tests' prober sees: names, and addresses that behave.
type world struct {
	names map[string][]string
	fails map[string]error // by address without port
	now   time.Time
}

func (w world) options(bootstrap ...string) Options {
	return Options{
		Bootstrap: bootstrap, Timeout: 2 * time.Second,
		Now: func() time.Time {
			if w.now.IsZero() {
				return time.Now()
			}
			return w.now
		},
		Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			var list []netip.Addr
			for _, a := range w.names[host] {
				list = append(list, netip.MustParseAddr(a))
			}
			if list == nil {
				return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
			}
			return list, nil
		},
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, _ := net.SplitHostPort(address)
			if err := w.fails[host]; err != nil {
				return nil, &net.OpError{Op: "dial", Net: network, Err: err}
			}
			if host == remote {
				host = "127.0.0.1"
			}
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(host, port))
		},
	}
}

// examine runs the doctor and checks that every finding says all.
func examine(t *testing.T, o Options) *Report {
	t.Helper()
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.Subject == "" || f.What == "" || f.Severity != OK && (f.Why == "" || f.Do == "") {
			t.Errorf("a finding that does not say all: %+v", f)
		}
	}
	return r
}

// finds wants a finding of a severity that has all words in it.
func finds(t *testing.T, r *Report, s Severity, words ...string) Finding {
	t.Helper()
	for _, f := range r.Findings {
		text := strings.Join([]string{f.Subject, f.What, f.Why, f.Do}, "\n")
		all := f.Severity == s
		for _, w := range words {
			all = all && strings.Contains(text, w)
		}
		if all {
			return f
		}
	}
	t.Errorf("no %s with %q in\n%s", s, words, table(r))
	return Finding{}
}

func table(r *Report) string {
	var b strings.Builder
	_ = r.WriteTable(&b)
	return b.String()
}

func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.ClusterID("the-cluster"), kfake.SeedTopics(4, "a")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// advertise changes what every broker of c says of its cluster.
func advertise(c *kfake.Cluster, change func(m *kmsg.MetadataResponse)) {
	addrs := c.ListenAddrs()
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		id := "the-cluster"
		resp.ClusterID, resp.ControllerID = &id, 0
		for i, a := range addrs {
			host, port, _ := net.SplitHostPort(a)
			n, _ := strconv.Atoi(port)
			b := kmsg.NewMetadataResponseBroker()
			b.NodeID, b.Host, b.Port = int32(i), host, int32(n)
			resp.Brokers = append(resp.Brokers, b)
		}
		change(resp)
		return resp, nil, true
	})
	c.ControlKey(int16(kmsg.DescribeCluster), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
		resp.ErrorCode = codeUnsupportedVersion
		return resp, nil, true
	})
}

// listen serves each connection with fn until the test ends.
func listen(t *testing.T, fn func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fn(c)
			}()
		}
	}()
	return l.Addr().String()
}

// dead is a port that nobody listens on.
func dead(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func portOf(address string) int32 {
	_, port := split(address)
	return int32(port)
}

// proxy passes what comes to the address on.
func proxy(t *testing.T, to string) string {
	return listen(t, func(c net.Conn) {
		b, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer b.Close()
		go func() { _, _ = io.Copy(b, c) }()
		_, _ = io.Copy(c, b)
	})
}
