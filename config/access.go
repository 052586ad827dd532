package config

import (
	"math"
	"time"
)

// get returns the value of a broker property. A name that is not in the table is a mistake in the program, not in its
// input: it panics.
func (c *Config) get(name string) value {
	if o := c.overlay.Load(); o != nil {
		if v, ok := o.values[name]; ok {
			return v
		}
	}
	v, ok := c.values[name]
	if !ok {
		panic("config: no property " + name)
	}
	return v
}

// IsSet says whether a property has a value: from a source, or a default.
func (c *Config) IsSet(name string) bool { return c.get(name).isSet }

// String reads a property of any type as text; empty if it has no value.
func (c *Config) String(name string) string { return c.get(name).text }

// Bool reads a boolean property.
func (c *Config) Bool(name string) bool { b, _ := c.get(name).parsed.(bool); return b }

// Int64 reads an int, short or long property; 0 if it has no value.
func (c *Config) Int64(name string) int64 { n, _ := c.get(name).parsed.(int64); return n }

// Int reads an int or short property; 0 if it has no value.
func (c *Config) Int(name string) int {
	return int(min(max(c.Int64(name), math.MinInt), math.MaxInt))
}

// Float reads a double property; 0 if it has no value.
func (c *Config) Float(name string) float64 { f, _ := c.get(name).parsed.(float64); return f }

// List reads a list property. The result is shared: don't change it.
func (c *Config) List(name string) []string { l, _ := c.get(name).parsed.([]string); return l }

// Duration reads a property whose unit is in its name (.ms, .seconds, .minutes, .hours; milliseconds if none is).
// A negative value gives -1; one that is too large for a time.Duration gives the largest.
func (c *Config) Duration(name string) time.Duration { return duration(c.Int64(name), unitOf(name)) }

func duration(n int64, unit time.Duration) time.Duration {
	if n < 0 {
		return -1
	}
	if n > int64(maxDuration/unit) {
		return maxDuration
	}
	return time.Duration(n) * unit
}

// Origin says where a property's value came from.
func (c *Config) Origin(name string) Origin { return c.get(name).origin }

// Entries returns every broker property with its effective value, by name. Sensitive values are hidden.
func (c *Config) Entries() []Entry {
	var entries []Entry
	for i := range table {
		k := &table[i]
		if k.Scope != BrokerScope {
			continue
		}
		v := c.get(k.Name)
		e := Entry{Key: k, Value: v.text, Set: v.isSet, Origin: v.origin, Source: v.source}
		if k.Sensitive && v.isSet {
			e.Value = hidden
		}
		entries = append(entries, e)
	}
	return entries
}
