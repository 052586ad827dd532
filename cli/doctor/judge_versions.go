package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// needs are the APIs whose absence is felt, and by whom.
var needs = []struct {
	keys     []int16
	severity Severity
	without  string
}{
	{[]int16{0}, Problem, "nothing can be written"},
	{[]int16{1, 2}, Problem, "nothing can be read"},
	{[]int16{22}, Warning, "producers with enable.idempotence, which is Java's default, fail"},
	{[]int16{8, 9, 10, 11, 12, 13, 14}, Warning, "consumer groups don't work; consumers must name their partitions"},
	{[]int16{24, 25, 26, 28}, Warning, "transactions, and Kafka Streams' exactly-once, don't work"},
	{[]int16{19, 20}, Warning, "topics can't be created or deleted by clients"},
	{[]int16{32}, Warning, "tools can't show configurations"},
}

func versionFindings(a *Answer) []Finding {
	v := a.Versions
	if v.Code != 0 {
		return []Finding{{Severity: Problem, What: "it answers ApiVersions with " + errorName(v.Code),
			Why: "no client can agree on versions with it", Do: "see the broker's log"}}
	}
	if _, ok := v.Ranges[keyMetadata]; !ok {
		return []Finding{notForClients(v)}
	}
	list := []Finding{{Severity: OK, What: versionsText(a)}}
	if a.OnlyOld {
		list = append(list, Finding{Severity: Warning, What: "it gives no answer to the newest ApiVersions, only to version 0",
			Why: "Kafka answers UNSUPPORTED_VERSION with the range it knows; new clients that count on that must reconnect or fail",
			Do:  "use a broker or proxy from after Kafka 0.10, or a client whose version can be set"})
	}
	return append(list, missing(v)...)
}

// notForClients is about a port that speaks Kafka, but has no metadata to give.
func notForClients(v *Versions) Finding {
	const vote, registration = 52, 62
	_, votes := v.Ranges[vote]
	_, registers := v.Ranges[registration]
	f := Finding{Severity: Problem, What: "it speaks Kafka's protocol but does not serve Metadata",
		Why: "clients ask for metadata first", Do: "use the client listener's port"}
	if votes || registers {
		f.What = "this is the listener of a KRaft controller, not of a broker"
		f.Do = "use the port of a broker's client listener (listeners without those in controller.listener.names)"
	}
	return f
}

// versionsText is what can be told of who it is: a broker never names its software, only versions and levels.
func versionsText(a *Answer) string {
	v := a.Versions
	text := fmt.Sprintf("a Kafka broker: %d APIs", len(v.Ranges))
	for _, key := range []int16{0, 1, keyMetadata, keyVersions} {
		if r, ok := v.Ranges[key]; ok {
			text += fmt.Sprintf(", %s %d-%d", kmsg.NameForKey(key), r.Min, r.Max)
		}
	}
	if release := release(v); release != "" {
		text += "; " + release
	}
	return text + fmt.Sprintf("; ApiVersions agreed on version %d", v.Asked)
}

// fetchReleases are the releases of Kafka with which Fetch got a new version, newest first. They only say how new a
// broker is that may be another's.
var fetchReleases = []struct {
	fetch   int16
	release string
}{{18, "4.1"}, {17, "3.9"}, {16, "3.7"}, {15, "3.5"}, {13, "3.1"}, {12, "2.7"}, {11, "2.3"}, {10, "2.1"}, {8, "2.0"}, {7, "1.1"}, {4, "0.11"}, {2, "0.10"}}

// metadataReleases are the releases whose first metadata.version is the level, newest first.
var metadataReleases = []struct {
	level   int16
	release string
}{{30, "4.3"}, {28, "4.2"}, {26, "4.1"}, {22, "4.0"}, {21, "3.9"}, {20, "3.8"}, {15, "3.7"}, {12, "3.6"}, {9, "3.5"}, {8, "3.4"}, {4, "3.3"}}

func release(v *Versions) string {
	if level, ok := v.Finalized["metadata.version"]; ok {
		for _, r := range metadataReleases {
			if level >= r.level {
				return fmt.Sprintf("metadata.version %d, that of Kafka %s or newer", level, r.release)
			}
		}
	}
	for _, r := range fetchReleases {
		if v.Ranges[1].Max >= r.fetch {
			return "as new as Kafka " + r.release + " or newer"
		}
	}
	return ""
}

// missing names the APIs that are not served, one finding for each thing that then does not work.
func missing(v *Versions) []Finding {
	var list []Finding
	for _, n := range needs {
		var names []string
		for _, key := range n.keys {
			if _, ok := v.Ranges[key]; !ok {
				names = append(names, fmt.Sprintf("%s (%d)", kmsg.NameForKey(key), key))
			}
		}
		if len(names) == 0 {
			continue
		}
		do := "nothing if you don't need it; else use a broker or a release that serves it"
		if n.severity == Problem {
			do = "use a listener that is for clients, or a broker that serves it"
		}
		list = append(list, Finding{Severity: n.severity, What: "not served: " + strings.Join(names, ", "), Why: n.without, Do: do})
	}
	return append(list, disjoint(v)...)
}

// disjoint finds APIs of which the clients of today, as far as kmsg knows them, have no version in common with the broker.
func disjoint(v *Versions) []Finding {
	var names []string
	for _, key := range slices.Sorted(maps.Keys(v.Ranges)) {
		own := kmsg.RequestForKey(key)
		if own == nil || key > keyDescribeCluster {
			continue
		}
		if r := v.Ranges[key]; r.Min > own.MaxVersion() || r.Max < r.Min {
			names = append(names, fmt.Sprintf("%s (%d-%d)", kmsg.NameForKey(key), r.Min, r.Max))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Finding{{Severity: Warning, What: "versions that no client of today speaks: " + strings.Join(names, ", "),
		Why: "these requests can't be sent", Do: "use a newer client"}}
}

func errorName(code int16) string {
	if err := kerr.TypedErrorForCode(code); err != nil {
		return err.Message
	}
	return fmt.Sprintf("error %d", code)
}
