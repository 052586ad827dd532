package config

// metricKeys are about metrics and quotas.
var metricKeys = []Key{
	{Name: "client.quota.callback.class", Type: Class, NoDefault: true, Meaning: Accepted,
		Doc: ""},
	{Name: "kafka.metrics.polling.interval.secs", Type: Int, Default: "10", Valid: atLeast(1), Meaning: Accepted,
		Doc: ""},
	{Name: "kafka.metrics.reporters", Type: List, Meaning: Accepted,
		Doc: ""},
	{Name: "metric.reporters", Type: List, Default: "org.apache.kafka.common.metrics.JmxReporter", Update: ClusterWide, Meaning: Accepted,
		Doc: ""},
	{Name: "metrics.num.samples", Type: Int, Default: "2", Valid: atLeast(1), Meaning: Accepted,
		Doc: ""},
	{Name: "metrics.recording.level", Type: String, Default: "INFO", Meaning: Accepted,
		Doc: ""},
	{Name: "metrics.sample.window.ms", Type: Long, Default: "30000", Valid: atLeast(1), Meaning: Accepted,
		Doc: ""},
	{Name: "quota.window.num", Type: Int, Default: "11", Valid: atLeast(1), Meaning: Accepted,
		Doc: ""},
	{Name: "quota.window.size.seconds", Type: Int, Default: "1", Valid: atLeast(1), Meaning: Accepted,
		Doc: ""},
	{Name: "telemetry.max.bytes", Type: Int, Default: "1048576", Valid: atLeast(1), Meaning: Accepted,
		Doc: ""},
}
