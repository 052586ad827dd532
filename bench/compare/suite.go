package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/streambus/streambus/bench"
)

// plan is what a run of the rows with targets is made of.
type plan struct {
	rows        string // regular expression; empty: all
	pairs       int    // rounds of each side that count
	size        int64  // bytes of values of a round
	kafka       bool
	kafkaWarmUp time.Duration // of a row's load that Kafka has before the row's first round, at least
	rowTimeout  time.Duration
	many        int32         // partitions of the row that is about their number
	spread      int32         // partitions of the rows that are about compaction
	rest        time.Duration // after a load, until memory is read
	idle        time.Duration // after a start, until memory is read
	quiet       time.Duration // how long a broker writes nothing until compaction counts as settled
	warmUp      time.Duration // of an end to end round
}

var fullPlan = plan{
	pairs: 5, size: 2_000_000_000, kafka: true, kafkaWarmUp: 20 * time.Second, rowTimeout: 15 * time.Minute,
	many: 10_000, spread: 1000, rest: 30 * time.Second, idle: settle, quiet: 5 * time.Second, warmUp: 2 * time.Second,
}

// The columns of the table.
const (
	ours    = iota // StreamBus
	beside         // what the row's figure is told as a share of: the ceiling, a loop
	theirs         // Apache Kafka
	columns = iota
)

// values are what one round found, by the figures' names.
type values map[string]float64

// row is a part of the table: a load, and what is read off it.
type row struct {
	name, title string
	sides       [columns]string // subjects, or any word for what is none; empty: nothing is measured there
	reference   string          // what stands in the column beside
	// begin comes before the first round of a side; may be nil.
	begin   func(ctx context.Context, u *suite, side string) error
	round   func(ctx context.Context, u *suite, side string) (values, error)
	warmUps int // rounds of each side that don't count
	most    int // pairs at most; 0: as many as asked for
	figures []figure
}

// outcome is what became of a row.
type outcome struct {
	row   row
	pairs [][columns]values
	err   error
	took  time.Duration
	warm  time.Duration // of this load that Kafka had had before the first round that counted
}

// suite runs rows. Brokers stay up from row to row, unless one fails.
type suite struct {
	settings
	plan   plan
	pool   map[string]*running
	loaded map[string]time.Duration // load that the pool's brokers have had
	filled map[string]string        // side -> the topic that begin has filled
	count  int                      // topics so far
	warms  bool                     // the round does not count
}

// targets runs the rows, and writes the table anew after each of them. The error is about rows that could not be measured, not
// about targets that were missed.
func (s settings) targets(ctx context.Context, p plan) error {
	chosen, err := p.choose()
	if err != nil {
		return err
	}
	s.subjects = nil
	for _, r := range chosen {
		for _, c := range r.active(p) {
			s.subjects = append(s.subjects, r.sides[c])
		}
	}
	if err := s.provide(ctx); err != nil {
		return err
	}
	u := &suite{settings: s, plan: p, pool: map[string]*running{}, loaded: map[string]time.Duration{}}
	defer func() {
		if err := u.endAll(false); err != nil {
			fmt.Fprintln(s.log, "at the end:", err)
		}
	}()
	return u.run(ctx, chosen)
}

func (u *suite) run(ctx context.Context, rows []row) error {
	var outcomes []outcome
	var failed error
	for _, r := range rows {
		o := u.measure(ctx, r)
		outcomes = append(outcomes, o)
		if o.err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", r.name, o.err))
			fmt.Fprintf(u.log, "%s: %v\n", r.name, o.err)
		}
		if u.out != "-" {
			failed = errors.Join(failed, u.writeTargets(outcomes))
		}
		if ctx.Err() != nil {
			break
		}
	}
	if u.out == "-" {
		failed = errors.Join(failed, u.writeTargets(outcomes))
	}
	return failed
}

// choose finds the rows that are asked for.
func (p plan) choose() ([]row, error) {
	if p.pairs < 1 || p.size < 1 {
		return nil, fmt.Errorf("%d pairs of %d bytes: at least one of each", p.pairs, p.size)
	}
	wanted, err := regexp.Compile(p.rows)
	if err != nil {
		return nil, fmt.Errorf("rows: %w", err)
	}
	chosen := slices.DeleteFunc(allRows(), func(r row) bool { return !wanted.MatchString(r.name) })
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no row is called %q (there are %s)", p.rows, strings.Join(rowNames(), ", "))
	}
	return chosen, nil
}

// active are the columns that are measured.
func (r row) active(p plan) (list []int) {
	for c, side := range r.sides {
		if side != "" && (c != theirs || p.kafka) {
			list = append(list, c)
		}
	}
	return list
}

// measure runs a row. One that fails takes the brokers with it: the next begins with new ones.
func (u *suite) measure(ctx context.Context, r row) outcome {
	ctx, cancel := context.WithTimeout(ctx, u.plan.rowTimeout)
	defer cancel()
	o, begun := outcome{row: r}, time.Now()
	u.filled = map[string]string{}
	o.err = u.rounds(ctx, &o)
	if o.err != nil {
		o.err = errors.Join(o.err, u.endAll(true))
	} else {
		o.err = u.wind(ctx)
	}
	o.took = time.Since(begun)
	fmt.Fprintf(u.log, "%s took %s\n", r.name, o.took.Round(time.Second))
	return o
}

func (u *suite) rounds(ctx context.Context, o *outcome) error {
	active := o.row.active(u.plan)
	if o.row.begin != nil {
		for _, c := range active {
			if err := o.row.begin(ctx, u, o.row.sides[c]); err != nil {
				return fmt.Errorf("%s: %w", o.row.sides[c], err)
			}
		}
	}
	before := u.loaded[o.row.sides[theirs]]
	if err := u.warmKafka(ctx, o.row); err != nil {
		return err
	}
	pairs := u.plan.pairs
	if o.row.most > 0 {
		pairs = min(pairs, o.row.most)
	}
	for i := -o.row.warmUps; i < pairs; i++ {
		if u.warms = i < 0; i == 0 {
			o.warm = u.loaded[o.row.sides[theirs]] - before
		}
		order := slices.Clone(active)
		if i%2 != 0 { // the first that counts is A B
			slices.Reverse(order)
		}
		var pair [columns]values
		for _, c := range order {
			v, err := u.round(ctx, o.row, c)
			if err != nil {
				return err
			}
			pair[c] = v
			fmt.Fprintf(u.log, "%s %2d of %d  %-15s %s\n", o.row.name, i+1, pairs, o.row.sides[c], o.row.show(v))
		}
		if i >= 0 {
			o.pairs = append(o.pairs, pair)
		}
	}
	return nil
}

func (u *suite) round(ctx context.Context, r row, column int) (values, error) {
	v, err := r.round(ctx, u, r.sides[column])
	if err == nil {
		err = ctx.Err() // a load that is interrupted returns what it has, which is no round
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.sides[column], err)
	}
	return v, nil
}

// warmKafka has a young Kafka do the row's work until its JVM has compiled what is hot in it.
func (u *suite) warmKafka(ctx context.Context, r row) error {
	side := r.sides[theirs]
	if side == "" || r.warmUps == 0 || !u.plan.kafka {
		return nil
	}
	u.warms = true
	for from := u.loaded[side]; u.loaded[side]-from < u.plan.kafkaWarmUp; {
		if _, err := u.round(ctx, r, theirs); err != nil {
			return fmt.Errorf("warm-up: %w", err)
		}
		fmt.Fprintf(u.log, "%s: %s has had %s of this load\n", r.name, side, (u.loaded[side] - from).Round(100*time.Millisecond))
	}
	return nil
}

// broker is the subject's, started if it isn't up.
func (u *suite) broker(ctx context.Context, side string) (*running, error) {
	if b := u.pool[side]; b != nil {
		select {
		case <-b.ended:
			delete(u.pool, side)
			return nil, errors.Join(errors.New("ended by itself"), b.stop(true))
		default:
			return b, nil
		}
	}
	b, err := u.start(ctx, side)
	if err != nil {
		return nil, err
	}
	u.pool[side] = b
	return b, nil
}

// end stops a broker and removes what it has.
func (u *suite) end(side string, failed bool) error {
	b := u.pool[side]
	if b == nil {
		return nil
	}
	delete(u.pool, side)
	delete(u.loaded, side)
	return b.stop(failed)
}

func (u *suite) endAll(failed bool) (err error) {
	for side := range u.pool {
		if e := u.end(side, failed); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", side, e))
		}
	}
	syscall.Sync()
	return err
}

// wind removes what a row leaves: topics that it has filled.
func (u *suite) wind(ctx context.Context) (err error) {
	for side, topic := range u.filled {
		err = errors.Join(err, u.remove(ctx, side, topic))
	}
	u.filled = nil
	return err
}

// onTopic puts a load on a topic of its own, which is removed again.
func (u *suite) onTopic(ctx context.Context, side string, partitions int32, load loadFunc) (*bench.Result, error) {
	topic, r, err := u.onNewTopic(ctx, side, partitions, load)
	if err != nil {
		return nil, err
	}
	return r, u.remove(ctx, side, topic)
}

// loadFunc is a load of package bench.
type loadFunc func(context.Context, bench.Target) (*bench.Result, error)

// onNewTopic puts a load on a topic of its own, which stays.
func (u *suite) onNewTopic(ctx context.Context, side string, partitions int32, load loadFunc) (string, *bench.Result, error) {
	u.count++
	topic := fmt.Sprintf("round-%d", u.count)
	r, err := u.load(ctx, side, topic, partitions, load)
	return topic, r, err
}

func (u *suite) load(ctx context.Context, side, topic string, partitions int32, load loadFunc) (*bench.Result, error) {
	b, err := u.broker(ctx, side)
	if err != nil {
		return nil, err
	}
	r, err := b.load(ctx, topic, partitions, load)
	if r != nil {
		u.loaded[side] += time.Duration(r.Seconds * float64(time.Second))
	}
	return r, err
}

// load puts a load on a broker; anything that went wrong in it is an error.
func (r *running) load(ctx context.Context, topic string, partitions int32, load loadFunc) (*bench.Result, error) {
	found, err := load(ctx, bench.Target{
		Bootstrap: []string{r.place.address(0)}, Topic: topic, Partitions: partitions, ReplicationFactor: 1, PIDs: []int{r.pid()},
	})
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && found.Errors > 0 {
		err = fmt.Errorf("%d errors, the first: %s", found.Errors, found.FirstError)
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

const (
	// removeTimeout is how long a broker may take to unlink a topic's files.
	removeTimeout = 20 * time.Second
	// leftBytes of files may be there after it: those that a broker has made in advance.
	leftBytes = 600 << 20
)

// remove takes a round's data off the disk, and leaves nothing to be written: no round pays for the one before.
func (u *suite) remove(ctx context.Context, side, topic string) error {
	defer syscall.Sync()
	if strings.HasPrefix(side, "ceiling") {
		return u.end(side, false)
	}
	b, err := u.broker(ctx, side)
	if err != nil {
		return err
	}
	if err := bench.DeleteTopic(ctx, []string{b.place.address(0)}, topic); err != nil {
		return fmt.Errorf("remove topic %s: %w", topic, err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); ; {
		left, err := diskBytes(b.place.dir)
		if err != nil {
			return err
		}
		folders, err := filepath.Glob(filepath.Join(b.place.dir, "data", topic+"-*")) // Kafka's
		if err != nil || left <= leftBytes && len(folders) == 0 {
			return err
		}
		if time.Since(begun) > removeTimeout {
			fmt.Fprintf(u.log, "%s still has %d MB on disk and %d folders of its topic, %s after that was removed\n", side, left>>20, len(folders), removeTimeout)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// diskBytes is what the files below dir take on disk. Files that go meanwhile don't count.
func diskBytes(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignoreGone(err)
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			sum += st.Blocks * 512
		}
		return nil
	})
	return sum, err
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
