package config

// metricKeys are about metrics and quotas.
var metricKeys = []Key{
	{Name: "client.quota.callback.class", Type: Class, NoDefault: true, Meaning: Accepted,
		Doc: "Java class that computes client quotas."},
	{Name: "kafka.metrics.polling.interval.secs", Type: Int, Default: "10", Valid: atLeast(1), Meaning: Accepted,
		Doc: "How often metrics reporters are asked."},
	{Name: "kafka.metrics.reporters", Type: List, Valid: someOf{empty: true}, Meaning: Accepted,
		Doc: "Java classes that report metrics of the old kind."},
	{Name: "metric.reporters", Type: List, Default: "org.apache.kafka.common.metrics.JmxReporter", Valid: someOf{empty: true}, Update: ClusterWide, Meaning: Accepted,
		Doc: "Java classes that report metrics."},
	{Name: "metrics.num.samples", Type: Int, Default: "2", Valid: atLeast(1), Meaning: Accepted,
		Doc: "Samples of a metric."},
	{Name: "metrics.recording.level", Type: String, Default: "INFO", Meaning: Accepted,
		Doc: "Finest level of metrics."},
	{Name: "metrics.sample.window.ms", Type: Long, Default: "30000", Valid: atLeast(1), Meaning: Accepted,
		Doc: "Length of one sample."},
	{Name: "quota.window.num", Type: Int, Default: "11", Valid: atLeast(1), Meaning: Accepted,
		Doc: "Windows over which client quotas are measured."},
	{Name: "quota.window.size.seconds", Type: Int, Default: "1", Valid: atLeast(1), Meaning: Accepted,
		Doc: "Length of one such window."},
	{Name: "telemetry.max.bytes", Type: Int, Default: "1048576", Valid: atLeast(1), Meaning: Accepted,
		Doc: "Largest message of client telemetry."},
}
