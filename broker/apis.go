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
	{key: 2, name: "ListOffsets", minVersion: 0, maxVersion: 11, handle: handleListOffsets},
	{key: 3, name: "Metadata", minVersion: 0, maxVersion: 13, handle: handleMetadata},
	{key: 8, name: "OffsetCommit", minVersion: 0, maxVersion: 10, handle: handleOffsetCommit, pipelined: true},
	{key: 9, name: "OffsetFetch", minVersion: 0, maxVersion: 10, handle: handleOffsetFetch, pipelined: true},
	{key: 10, name: "FindCoordinator", minVersion: 0, maxVersion: 6, handle: handleFindCoordinator},
	{key: 11, name: "JoinGroup", minVersion: 0, maxVersion: 9, handle: handleJoinGroup},
	{key: 12, name: "Heartbeat", minVersion: 0, maxVersion: 4, handle: handleHeartbeat, pipelined: true},
	{key: 13, name: "LeaveGroup", minVersion: 0, maxVersion: 5, handle: handleLeaveGroup},
	{key: 14, name: "SyncGroup", minVersion: 0, maxVersion: 5, handle: handleSyncGroup},
	{key: 15, name: "DescribeGroups", minVersion: 0, maxVersion: 6, handle: handleDescribeGroups},
	{key: 16, name: "ListGroups", minVersion: 0, maxVersion: 5, handle: handleListGroups},
	{key: 18, name: "ApiVersions", minVersion: 0, maxVersion: 4, handle: handleAPIVersions},
	{key: 19, name: "CreateTopics", minVersion: 0, maxVersion: 7, handle: handleCreateTopics},
	{key: 20, name: "DeleteTopics", minVersion: 0, maxVersion: 6, handle: handleDeleteTopics},
	{key: 21, name: "DeleteRecords", minVersion: 0, maxVersion: 2, handle: handleDeleteRecords},
	{key: 22, name: "InitProducerId", minVersion: 0, maxVersion: 5, handle: handleInitProducerID},
	{key: 23, name: "OffsetForLeaderEpoch", minVersion: 0, maxVersion: 4, handle: handleOffsetForLeaderEpoch},
	{key: 32, name: "DescribeConfigs", minVersion: 0, maxVersion: 4, handle: handleDescribeConfigs},
	{key: 33, name: "AlterConfigs", minVersion: 0, maxVersion: 2, handle: handleAlterConfigs},
	{key: 34, name: "AlterReplicaLogDirs", minVersion: 0, maxVersion: 2, handle: handleAlterReplicaLogDirs},
	{key: 35, name: "DescribeLogDirs", minVersion: 0, maxVersion: 5, handle: handleDescribeLogDirs},
	{key: 37, name: "CreatePartitions", minVersion: 0, maxVersion: 3, handle: handleCreatePartitions},
	{key: 42, name: "DeleteGroups", minVersion: 0, maxVersion: 2, handle: handleDeleteGroups},
	{key: 43, name: "ElectLeaders", minVersion: 0, maxVersion: 2, handle: handleElectLeaders},
	{key: 44, name: "IncrementalAlterConfigs", minVersion: 0, maxVersion: 1, handle: handleIncrementalAlterConfigs},
	{key: 47, name: "OffsetDelete", minVersion: 0, maxVersion: 0, handle: handleOffsetDelete},
	{key: 55, name: "DescribeQuorum", minVersion: 0, maxVersion: 2, handle: handleDescribeQuorum},
	{key: 60, name: "DescribeCluster", minVersion: 0, maxVersion: 2, handle: handleDescribeCluster},
	{key: 61, name: "DescribeProducers", minVersion: 0, maxVersion: 0, handle: handleDescribeProducers},
	{key: 74, name: "ListConfigResources", minVersion: 0, maxVersion: 1, handle: handleListConfigResources},
	{key: 75, name: "DescribeTopicPartitions", minVersion: 0, maxVersion: 0, handle: handleDescribeTopicPartitions},
}

// api finds the row for a key, nil if it isn't served.
func (s *Server) api(key int16) *api {
	if key < 0 || key > maxAPIKey {
		return nil
	}
	return s.table[key]
}
