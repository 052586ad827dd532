package cli

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// DefaultBootstrap is where a command looks for a broker when it is told nothing.
const DefaultBootstrap = "127.0.0.1:9092"

// Target is the cluster a command works on.
type Target struct {
	Bootstrap []string      // host:port; at least one; a bare host means port 9092
	ClientID  string        // what the broker logs; "streambus" if empty
	Timeout   time.Duration // of one administrative request, and of finding the first broker; 30 s if 0
	TLS       TLS
	SASL      SASL
}

// Connect makes a client for what the functions of this package don't do; the caller closes it. See connect.
func (t Target) Connect(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	return t.connect(ctx, opts...)
}

func (t Target) timeout() time.Duration {
	if t.Timeout <= 0 {
		return 30 * time.Second
	}
	return t.Timeout
}

// What kgo allows for an answer beyond the time that the request itself names: its default at most.
const (
	minOverhead = 100 * time.Millisecond
	maxOverhead = 10 * time.Second
)

// connect makes a client and checks that one broker answers, so that a wrong address is one clear line at once instead
// of endless retries.
func (t Target) connect(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	seeds, err := t.Addresses()
	if err != nil {
		return nil, err
	}
	id := t.ClientID
	if id == "" {
		id = "streambus"
	}
	base := []kgo.Opt{
		kgo.SeedBrokers(seeds...),
		kgo.ClientID(id),
		kgo.DialTimeout(5 * time.Second),
		// What a broker that accepts and stays silent is given, which a context does not cut short.
		kgo.RequestTimeoutOverhead(max(minOverhead, min(maxOverhead, t.timeout()))),
	}
	secure, err := t.securityOptions()
	if err != nil {
		return nil, err
	}
	base = append(base, secure...)
	client, err := kgo.NewClient(append(base, opts...)...)
	if err != nil {
		return nil, &UsageError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("no broker answers at %s: %w", strings.Join(seeds, ","), t.explainSecurity(err))
	}
	return client, nil
}

// admin is connect for administrative requests.
func (t Target) admin(ctx context.Context) (*kadm.Client, func(), error) {
	admin, _, done, err := t.adminClient(ctx)
	return admin, done, err
}

// adminClient is admin for those who also send requests that kadm does not know, or not whole.
func (t Target) adminClient(ctx context.Context) (*kadm.Client, *kgo.Client, func(), error) {
	client, err := t.connect(ctx, kgo.RetryTimeout(t.timeout()))
	if err != nil {
		return nil, nil, nil, err
	}
	admin := kadm.NewClient(client)
	admin.SetTimeoutMillis(int32(t.timeout().Milliseconds()))
	return admin, client, client.Close, nil
}

// Addresses are the bootstrap addresses, each with its port. The error, if there is none, is a UsageError.
func (t Target) Addresses() ([]string, error) {
	var seeds []string
	for _, s := range t.Bootstrap {
		for _, part := range strings.Split(s, ",") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			if _, _, err := net.SplitHostPort(part); err != nil {
				part = net.JoinHostPort(strings.Trim(part, "[]"), "9092")
			}
			seeds = append(seeds, part)
		}
	}
	if len(seeds) == 0 {
		return nil, usagef("no bootstrap address given")
	}
	return seeds, nil
}
