// Package peer holds the connections to the other nodes of the cluster: Kafka frames to their client listeners, many
// requests in flight on each connection, told apart by correlation id. It finds out what a node serves, backs off from
// one that does not answer, and says of every failure whether the request may have reached the other side. It never
// retries, never decides what to ask and knows nothing of partitions: package partition's fetch loop and package broker's
// forwarding drive it.
//
// Read pool.go first. link.go makes connections, conn.go runs one, frame.go has the buffers that answers come in.
package peer
