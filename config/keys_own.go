package config

// ownKeys are StreamBus's own; Kafka has none of these names.
var ownKeys = []Key{
	{Name: "admin.listener", Type: String, Default: "127.0.0.1:8080", Meaning: Own,
		Doc: "Address of the admin listener: health, metrics, API, console. Empty: none."},
	{Name: "cluster.advertised.listener", Type: String, NoDefault: true, Meaning: Own,
		Doc: "host:port under which other nodes reach this one's cluster listener. Unset: cluster.listener."},
	{Name: "cluster.listener", Type: String, Default: "127.0.0.1:9093", Meaning: Own,
		Doc: "Address for other nodes: raft, events, heartbeats. Set here or as a controller listener in listeners. A broker alone needs none."},
	{Name: "log.dirs.reserve.bytes", Type: Long, Default: "-1", Valid: atLeast(-1), Meaning: Own,
		Doc: "Free bytes of a disk that produce requests may not use. -1: the smaller of 1 GiB and 5%, at least 64 MiB."},
	{Name: "log.flush.policy", Type: String, Default: "always", Valid: oneOf{"always", "interval", "never"}, Meaning: Own,
		Doc: "When an acknowledged record is on the disk: before the answer, after log.flush.interval.ms, or when the kernel likes."},
	{Name: "log.format", Type: String, Default: "text", Valid: oneOf{"text", "json"}, Meaning: Own,
		Doc: "How the server writes its own log lines."},
	{Name: "log.level", Type: String, Default: "info", Valid: oneOfFold{"debug", "info", "warn", "error"}, Update: ClusterWide, Meaning: Own,
		Doc: "The least important lines that the server logs."},
	{Name: "log.unsealed.max.bytes", Type: Long, Default: "-1", Valid: atLeast(-1), Meaning: Own,
		Doc: "Bytes of the write-ahead log that recovery may have to scan; appends wait beyond. -1: 256 MiB under always, else 2 GiB."},
	{Name: "log.wal.file.bytes", Type: Long, Default: "134217728", Valid: atLeast(1 << 20), Meaning: Own,
		Doc: "Size of one file of the write-ahead log."},
	{Name: "unsafe.accept.corruption", Type: Boolean, Default: "false", Meaning: Own,
		Doc: "Start although records that were durable are damaged. Fetching them fails; all others are served."},
	{Name: "unsafe.allow.empty.metadata", Type: Boolean, Default: "false", Meaning: Own,
		Doc: "Start although the metadata is empty beside a log that is not. All its partitions are quarantined."},
}
