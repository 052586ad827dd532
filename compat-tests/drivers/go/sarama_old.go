//go:build sarama_old

package main

import "github.com/IBM/sarama"

// protocolVersion is what this Sarama asks for without negotiating.
var protocolVersion = sarama.V2_8_0_0

var balanceStrategies = map[string]func() sarama.BalanceStrategy{
	"range": sarama.NewBalanceStrategyRange, "roundrobin": sarama.NewBalanceStrategyRoundRobin,
	"sticky": sarama.NewBalanceStrategySticky,
}
