// Package debug sends any request of Kafka's protocol that package kmsg knows, written as JSON, and gives the answer back
// as JSON: for those who write clients and brokers, and for what no other command can do. It also lists what a broker
// serves, field by field if need be, and the protocol's errors.
//
// A request travels over a connection of its own, in the version asked for, whether the broker says it serves that or
// not: a real client would hide exactly what is to be seen. Only the way to the right broker is asked for through one.
// The package never retries and never changes what it was given. The commands `streambus debug ...` drive it.
//
// Messages are read and written by reflection over kmsg's types (read_json.go, write_json.go); which version has which
// field is found out by encoding (fields.go), because those types don't say. Read request.go first.
package debug
