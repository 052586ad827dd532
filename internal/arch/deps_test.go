package arch

import (
	"slices"
	"strings"
	"testing"
)

// modules are the third-party modules that production code may import, and where. An empty list of packages means anywhere.
// A new row is a decision: say what the module saves us from writing.
var modules = map[string]struct {
	in     []string
	reason string
}{
	"github.com/twmb/franz-go/pkg/kmsg":       {nil, "the protocol's messages"},
	"github.com/twmb/franz-go/pkg/kbin":       {nil, "the protocol's primitive types"},
	"github.com/twmb/franz-go/pkg/kgo":        {[]string{"cli", "bench", "cmd/streambus"}, "a client: servers don't speak to themselves through one"},
	"github.com/twmb/franz-go/pkg/kadm":       {[]string{"cli", "bench", "cmd/streambus"}, "an admin client"},
	"github.com/twmb/franz-go/pkg/kerr":       {[]string{"cli", "bench", "cmd/streambus"}, "the client's error names; servers have kafkaproto.Error"},
	"github.com/twmb/franz-go/pkg/sasl":       {[]string{"cli"}, "logging in, for clusters that ask for it"},
	"github.com/hashicorp/raft":               {[]string{"controller/quorum"}, "consensus; everyone else knows only the quorum"},
	"github.com/hashicorp/go-hclog":           {[]string{"controller/quorum"}, "raft's logger, turned into slog"},
	"github.com/hashicorp/go-immutable-radix": {[]string{"controller"}, "persistent maps of the metadata image"},
	"github.com/cockroachdb/pebble":           {[]string{"log", "controller/quorum", "internal/env"}, "the index and raft's store"},
	"github.com/klauspost/compress":           {[]string{"kafkaproto"}, "gzip, snappy, zstd: one place that knows codecs"},
	"github.com/pierrec/lz4":                  {[]string{"kafkaproto"}, "lz4"},
	"github.com/spf13/cobra":                  {[]string{"cmd/streambus"}, "the command line; cli has no flags"},
	"github.com/prometheus/client_golang":     {[]string{"telemetry"}, "metrics; lower layers fire events"},
	"github.com/HdrHistogram/hdrhistogram-go": {[]string{"bench"}, "latency percentiles"},
	"golang.org/x/sys":                        {[]string{"internal/env", "broker"}, "pwritev, fallocate, sendfile"},
	"gopkg.in/yaml.v3":                        {[]string{"cli", "cmd/streambus"}, "-o yaml"},
}

func TestThirdPartyModulesStayWhereTheyBelong(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, im := range s.imports() {
			first, _, _ := strings.Cut(im, "/")
			if !strings.Contains(first, ".") || strings.HasPrefix(im, module) {
				continue
			}
			checkModule(t, s, im)
		}
	}
}

func checkModule(t *testing.T, s source, im string) {
	t.Helper()
	for prefix, m := range modules {
		if im != prefix && !strings.HasPrefix(im, prefix+"/") {
			continue
		}
		if m.in == nil {
			return
		}
		if !slices.ContainsFunc(m.in, func(p string) bool { return s.pkg == p || strings.HasPrefix(s.pkg, p+"/") }) {
			t.Errorf("%s imports %s, which belongs into %s alone: %s", s.path, im, strings.Join(m.in, ", "), m.reason)
		}
		return
	}
	t.Errorf("%s imports %s, which is not in the table of modules: add it with a reason, or do without", s.path, im)
}
