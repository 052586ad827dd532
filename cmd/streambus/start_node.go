package main

import (
	"context"
	"log/slog"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/node"
)

// startNode starts a node on the machine as it is.
func startNode(ctx context.Context, cfg *config.Config, logger *slog.Logger) (server, error) {
	return node.Start(ctx, node.Options{Config: cfg, Env: env.System(), Logger: logger})
}
