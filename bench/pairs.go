package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Side is one of the two brokers, or clusters, that are compared.
type Side struct {
	Bootstrap []string `json:"bootstrap"`
	PIDs      []int    `json:"pids,omitempty"` // of its processes, if they run on this machine
}

// PairsOptions say what Pairs compares. Topics are made for it and removed again; the Bootstrap, Topic and PIDs of the
// loads don't count.
type PairsOptions struct {
	A, B        Side
	Workload    string // produce, consume, e2e
	Produce     ProduceOptions
	Consume     ConsumeOptions // reads what Produce has written into a topic once, before the first round
	EndToEnd    EndToEndOptions
	Pairs       int           // rounds of each side; default 4
	WarmUpPairs int           // rounds of each side that come first and don't count; default 1, negative none
	Pause       time.Duration // between two rounds, so that one doesn't pay for the other; default 500 ms
	KeepTopics  bool          // until the last round is over; the page cache fills meanwhile, as on a broker that has run for long
	Tell        func(PairsProgress)
}

// Workloads are the names PairsOptions.Workload may have.
var Workloads = []string{"produce", "consume", "e2e"}

// PairsProgress tells of one round that is over.
type PairsProgress struct {
	Round, Rounds int
	Side          string // A or B
	WarmUp        bool
	Result        *Result
}

// Comparison is what Pairs found.
type Comparison struct {
	Workload string          `json:"workload"`
	A        Side            `json:"a"`
	B        Side            `json:"b"`
	Order    string          `json:"order"` // of the rounds that count: ABBA...
	Metrics  []MetricPair    `json:"metrics"`
	Rounds   []ComparedRound `json:"rounds"`
}

// ComparedRound is one run of one side.
type ComparedRound struct {
	Pair   int     `json:"pair"`
	Side   string  `json:"side"`
	Result *Result `json:"result"`
}

func (o *PairsOptions) check() error {
	setDefault(&o.Pairs, 4)
	setDefault(&o.WarmUpPairs, 1)
	o.WarmUpPairs = max(0, o.WarmUpPairs)
	if o.Pause == 0 {
		o.Pause = 500 * time.Millisecond
	}
	switch {
	case !slices.Contains(Workloads, o.Workload):
		return fmt.Errorf("unknown workload %q (allowed: %s)", o.Workload, strings.Join(Workloads, ", "))
	case len(o.A.Bootstrap) == 0 || len(o.B.Bootstrap) == 0:
		return errors.New("two sides are needed: the addresses of A and of B")
	case o.Pairs < 0 || o.Pairs > 1000 || o.WarmUpPairs > 1000:
		return errors.New("pairs: allowed are 1 to 1000")
	}
	return nil
}

// Pairs puts the same load on both sides in turn: A B, then B A, and so on, so that a machine that gets slower, or a disk
// that fills, is unfair to nobody. Each pair gives one ratio.
func Pairs(ctx context.Context, o PairsOptions) (c *Comparison, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	run := &pairsRun{o: o, prefix: fmt.Sprintf("bench-compare-%08x", rand.Uint32()), filled: map[string]string{}}
	defer func() { err = errors.Join(err, run.clean()) }()
	c = &Comparison{Workload: o.Workload, A: o.A, B: o.B}
	for i := range o.WarmUpPairs + o.Pairs {
		order := "AB"
		if (i+o.WarmUpPairs)%2 == 1 { // the first that counts is A B
			order = "BA"
		}
		for _, side := range strings.Split(order, "") {
			r, err := run.round(ctx, i, side)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", side, err)
			}
			if i >= o.WarmUpPairs {
				c.Order += side
				c.Rounds = append(c.Rounds, ComparedRound{Pair: i - o.WarmUpPairs + 1, Side: side, Result: r})
			}
		}
	}
	c.Metrics = compareRounds(c.Rounds)
	return c, nil
}

type pairsRun struct {
	o      PairsOptions
	prefix string
	count  int               // rounds so far
	filled map[string]string // consume: side -> its topic
	made   []madeTopic
}

type madeTopic struct{ side, topic string }

func (p *pairsRun) side(name string) Side {
	if name == "A" {
		return p.o.A
	}
	return p.o.B
}

// target is the topic of one round on one side.
func (p *pairsRun) target(side, topic string) Target {
	s, t := p.side(side), p.o.Produce.Target
	t.Bootstrap, t.PIDs, t.Topic, t.Configs = s.Bootstrap, s.PIDs, topic, maps.Clone(t.Configs)
	p.made = append(p.made, madeTopic{side, topic})
	return t
}

func (p *pairsRun) round(ctx context.Context, pair int, side string) (r *Result, err error) {
	p.count++
	switch p.o.Workload {
	case "produce":
		o := p.o.Produce
		o.Target = p.target(side, fmt.Sprintf("%s-%d", p.prefix, p.count))
		r, err = Produce(ctx, o)
	case "e2e":
		o := p.o.EndToEnd
		o.Target = p.target(side, fmt.Sprintf("%s-%d", p.prefix, p.count))
		r, err = EndToEnd(ctx, o)
	case "consume":
		r, err = p.consume(ctx, side)
	}
	if err == nil {
		err = ctx.Err() // a load that is interrupted returns what it has, which is no round
	}
	if err != nil {
		return nil, err
	}
	if r.Errors > 0 {
		return nil, fmt.Errorf("%d errors, the first: %s", r.Errors, r.FirstError)
	}
	if p.o.Workload != "consume" && !p.o.KeepTopics {
		if err := p.clean(); err != nil {
			return nil, err
		}
	}
	if p.o.Tell != nil {
		p.o.Tell(PairsProgress{Round: p.count, Rounds: 2 * (p.o.Pairs + p.o.WarmUpPairs), Side: side, WarmUp: pair < p.o.WarmUpPairs, Result: r})
	}
	return r, p.pause(ctx)
}

func (p *pairsRun) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(max(0, p.o.Pause)):
		return nil
	}
}

// consume reads the side's topic, and fills it before the first time.
func (p *pairsRun) consume(ctx context.Context, side string) (*Result, error) {
	if p.filled[side] == "" {
		fill := p.o.Produce
		fill.Target = p.target(side, p.prefix+"-"+strings.ToLower(side))
		fill.PIDs, fill.Progress, fill.Rate, fill.WarmUp = nil, nil, 0, 0
		if _, err := Produce(ctx, fill); err != nil {
			return nil, fmt.Errorf("fill topic %s: %w", fill.Topic, err)
		}
		p.filled[side] = fill.Topic
	}
	o, s := p.o.Consume, p.side(side)
	o.Bootstrap, o.PIDs, o.Topic = s.Bootstrap, s.PIDs, p.filled[side]
	return Consume(ctx, o)
}

// clean removes the topics that were made, also after an interrupt.
func (p *pairsRun) clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	var failed error
	for _, m := range p.made {
		if err := DeleteTopic(ctx, p.side(m.side).Bootstrap, m.topic); err != nil {
			failed = errors.Join(failed, fmt.Errorf("remove topic %s from %s: %w", m.topic, m.side, err))
		}
	}
	p.made = nil
	return failed
}

// DeleteTopic removes a topic. That it isn't there is no error.
func DeleteTopic(ctx context.Context, bootstrap []string, topic string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.ClientID(clientID), kgo.DialTimeout(5*time.Second))
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).DeleteTopic(ctx, topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil
	}
	return err
}
