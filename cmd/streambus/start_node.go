package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/node"
)

// startNode starts a node on the machine as it is.
func startNode(ctx context.Context, cfg *config.Config, logger *slog.Logger) (server, error) {
	if err := alone(cfg); err != nil {
		return nil, err
	}
	return node.Start(ctx, node.Options{Config: cfg, Env: env.System(), Logger: logger})
}

// alone refuses to be one node of several. Nodes find each other and agree on metadata already, but partitions are not
// replicated yet, so a topic with several replicas would take no record with acks=all.
func alone(cfg *config.Config) error {
	voters, err := cfg.Voters()
	if err != nil {
		return err
	}
	others, err := cfg.Join()
	if err != nil {
		return err
	}
	if len(voters) > 1 || len(others) > 0 || len(cfg.List("process.roles")) == 1 {
		return errors.New("other nodes are named (--quorum, --join), or process.roles is only one of broker and controller: " +
			"records are not replicated yet, so one node alone is served so far")
	}
	return nil
}
