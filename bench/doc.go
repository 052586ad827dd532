// Package bench is the load driver behind `streambus bench`: it writes and reads as fast as a Kafka-compatible broker
// lets it, or at a fixed rate, and says what came of it in records per second, latency percentiles and, for a broker on
// the same machine, CPU time and memory.
//
// So that the driver costs little beside the broker it measures, Produce and Consume speak to sockets themselves: a
// batch is encoded once and then sent again and again with only the correlation id changed, and what is fetched is
// counted by batch headers, never decoded. EndToEnd is the opposite: it goes through a real client (kgo), because it asks
// what an application sees. Groups keeps members of consumer groups alive over such sockets too, and commits offsets.
// Pairs runs a load on two brokers in turn and compares. The package never imports a server package, prints nothing, and starts no broker
// (bench/compare does).
//
// Read options.go and result.go first (what goes in, what comes out), then produce.go; wire.go is the socket; groups.go
// and pairs.go begin their own families of files.
package bench
