package cli

import (
	"slices"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// serveWithout makes c answer ApiVersions without one key; the counter says how often it was asked.
func serveWithout(c *kfake.Cluster, key int16) *atomic.Int64 {
	var asked atomic.Int64
	c.ControlKey(int16(kmsg.ApiVersions), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		asked.Add(1)
		resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
		for _, k := range []int16{0, 1, 2, 3, 18, 19, 20, 22, 32} {
			r := kmsg.RequestForKey(k)
			resp.ApiKeys = append(resp.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: k, MaxVersion: min(r.MaxVersion(), 4)})
		}
		resp.ApiKeys = slices.DeleteFunc(resp.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool { return k.ApiKey == key })
		return resp, nil, true
	})
	return &asked
}
