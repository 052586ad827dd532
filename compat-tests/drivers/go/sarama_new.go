//go:build !sarama_old

package main

import "github.com/IBM/sarama"

// protocolVersion is the newest that Sarama knows: it negotiates each version with the broker.
var protocolVersion = sarama.MaxVersion

var balanceStrategies = map[string]func() sarama.BalanceStrategy{
	"range": sarama.NewBalanceStrategyRange, "roundrobin": sarama.NewBalanceStrategyRoundRobin,
	"sticky": sarama.NewBalanceStrategySticky, "cooperative-sticky": sarama.NewBalanceStrategyCooperativeSticky,
}
