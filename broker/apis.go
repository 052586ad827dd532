package broker

// handler answers a request. It runs on the connection's goroutine, in the order of arrival, and must see to it that the
// request is answered exactly once: reply, replyChunks, noReply or fail, now or later, from any goroutine.
type handler func(s *Server, r *request)

// api is one row of the table of what is served.
type api struct {
	key        int16
	name       string
	minVersion int16
	maxVersion int16
	handle     handler
	// pipelined: the connection's next request may start before this one is answered, so the handler must not block for
	// long. Without it the handler may wait (a round of raft), and the next request starts only after the answer.
	pipelined bool
}

// maxAPIKey is the highest key of Kafka 4.3 and what kmsg knows beyond it.
const maxAPIKey = 127

// apis is the table: ApiVersions is printed from it, and what has no row is not served. One row, one file NN_name.go.
// Ranges are those of Apache Kafka 4.3.1, with the older versions that old clients and devices still send.
var apis = []api{
	{key: 0, name: "Produce", minVersion: 0, maxVersion: 13, handle: handleProduce, pipelined: true},
	{key: 1, name: "Fetch", minVersion: 0, maxVersion: 18, handle: handleFetch, pipelined: true},
	{key: 18, name: "ApiVersions", minVersion: 0, maxVersion: 4, handle: handleAPIVersions},
}

// api finds the row for a key, nil if it isn't served.
func (s *Server) api(key int16) *api {
	if key < 0 || key > maxAPIKey {
		return nil
	}
	return s.table[key]
}
