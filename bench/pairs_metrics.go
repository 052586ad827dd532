package bench

import "slices"

// MetricPair is one thing measured on both sides.
type MetricPair struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Better string    `json:"better"` // higher, lower
	A      Quartiles `json:"a"`
	B      Quartiles `json:"b"`
	Ratio  Quartiles `json:"ratioAToB"` // of the pairs' ratios
}

// Quartiles describe a few numbers without believing in their distribution.
type Quartiles struct {
	Min    float64 `json:"min"`
	Q1     float64 `json:"q1"`
	Median float64 `json:"median"`
	Q3     float64 `json:"q3"`
	Max    float64 `json:"max"`
}

// QuartilesOf interpolates between the two nearest numbers. Of none all are 0.
func QuartilesOf(list []float64) Quartiles {
	s := slices.Sorted(slices.Values(list))
	at := func(q float64) float64 {
		x := q * float64(len(s)-1)
		i := int(x)
		if i+1 >= len(s) {
			return s[len(s)-1]
		}
		return s[i] + (x-float64(i))*(s[i+1]-s[i])
	}
	if len(s) == 0 {
		return Quartiles{}
	}
	return Quartiles{Min: s[0], Q1: at(0.25), Median: at(0.5), Q3: at(0.75), Max: s[len(s)-1]}
}

// pairMetrics are what is compared. A round that did not measure one has false.
var pairMetrics = []struct {
	name, unit, better string
	value              func(*Result) (float64, bool)
}{
	{"throughput", "records/s", "higher", func(r *Result) (float64, bool) { return r.RecordsSec, true }},
	{"throughput in bytes", "MB/s", "higher", func(r *Result) (float64, bool) { return r.BytesSec / 1e6, true }},
	{"latency p50", "ms", "lower", latencyAt(func(l *Latency) int64 { return l.P50 })},
	{"latency p90", "ms", "lower", latencyAt(func(l *Latency) int64 { return l.P90 })},
	{"latency p99", "ms", "lower", latencyAt(func(l *Latency) int64 { return l.P99 })},
	{"latency p99.9", "ms", "lower", latencyAt(func(l *Latency) int64 { return l.P999 })},
	{"broker CPU", "s per million records", "lower", ofBroker(func(p *Process) float64 { return p.MicrosPerRecord })},
	{"broker VmRSS", "MB", "lower", ofBroker(func(p *Process) float64 { return float64(p.RSS) / 1e6 })},
	{"broker RssAnon", "MB", "lower", ofBroker(func(p *Process) float64 { return float64(p.Anonymous) / 1e6 })},
}

func latencyAt(percentile func(*Latency) int64) func(*Result) (float64, bool) {
	return func(r *Result) (float64, bool) {
		if r.Latency == nil {
			return 0, false
		}
		return float64(percentile(r.Latency)) / 1e3, true
	}
}

// ofBroker is what a process used; microseconds a record are seconds a million records.
func ofBroker(value func(*Process) float64) func(*Result) (float64, bool) {
	return func(r *Result) (float64, bool) {
		if r.Broker == nil {
			return 0, false
		}
		return value(r.Broker), true
	}
}

// compareRounds leaves a metric out that neither side has, and its ratio empty where one has it.
func compareRounds(rounds []ComparedRound) []MetricPair {
	list := []MetricPair{}
	for _, m := range pairMetrics {
		var a, b, ratios []float64
		byPair := map[int]map[string]float64{}
		for _, r := range rounds {
			v, ok := m.value(r.Result)
			if !ok {
				continue
			}
			if byPair[r.Pair] == nil {
				byPair[r.Pair] = map[string]float64{}
			}
			byPair[r.Pair][r.Side] = v
			if r.Side == "A" {
				a = append(a, v)
			} else {
				b = append(b, v)
			}
		}
		if len(a)+len(b) == 0 {
			continue
		}
		for _, pair := range byPair {
			if len(pair) == 2 && pair["B"] > 0 {
				ratios = append(ratios, pair["A"]/pair["B"])
			}
		}
		list = append(list, MetricPair{Name: m.name, Unit: m.unit, Better: m.better, A: QuartilesOf(a), B: QuartilesOf(b), Ratio: QuartilesOf(ratios)})
	}
	return list
}
