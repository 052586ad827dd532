package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/streambus/streambus/config"
)

// drainTimeout bounds how long a clean stop may take.
const drainTimeout = 30 * time.Second

func newServe(a *app) *cobra.Command {
	var src sourceFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run a broker",
		Long: `Runs a broker until it is told to stop. Without any flag it serves 127.0.0.1:9092 and keeps its data in ./data, which
it makes and formats if it is not there.

Values come from flags, --set, the environment (KAFKA_NODE_ID sets node.id), the file and the defaults, in this order;
streambus config print shows what came of it. SIGTERM and SIGINT stop the broker cleanly, a second one at once.`,
		Example: `  streambus serve
  streambus serve --data-dir /var/lib/streambus --listen 0.0.0.0:9092 --advertise broker1.example.com:9092
  streambus serve --node-id 1 --quorum 1@a.example.com:9093,2@b.example.com:9093,3@c.example.com:9093 --listen a.example.com:9092 --cluster-listen a.example.com:9093
  streambus serve --node-id 4 --join a.example.com:9093 --listen d.example.com:9092 --cluster-listen d.example.com:9093
  streambus serve --config server.properties --set num.partitions=12
  KAFKA_LISTENERS=PLAINTEXT://:9092 streambus serve --log-format json`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	src.add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, warnings, err := src.load(c)
		if err != nil {
			return err
		}
		logger := newLogger(a.err, cfg)
		for _, w := range warnings {
			logger.Warn(w.Text, "key", w.Key)
		}
		signal.Notify(a.signals, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(a.signals)
		return serve(cfg, logger, startNode, a.signals)
	}
	return c
}

// server is what serve needs of a node.
type server interface {
	Addr() string
	Stop(context.Context) error
	Wait() error // the reason it ended
}

type starter func(context.Context, *config.Config, *slog.Logger) (server, error)

// serve runs a node until it ends or a signal says so: the first drains, the second stops at once.
func serve(cfg *config.Config, logger *slog.Logger, start starter, signals <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n, err := start(ctx, cfg, logger)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Wait() }()
	select {
	case err := <-ended:
		return err
	case s := <-signals:
		logger.Info("stopping", "signal", s.String())
	}
	drain, cancelDrain := context.WithTimeout(ctx, drainTimeout)
	defer cancelDrain()
	stopped := make(chan error, 1)
	go func() { stopped <- n.Stop(drain) }()
	select {
	case err := <-stopped:
		if err != nil {
			return fmt.Errorf("stop: %w", err)
		}
		logger.Info("stopped")
		return nil
	case s := <-signals:
		return errors.New("stopped at once by a second " + s.String())
	}
}

// newLogger writes one line per event, from the level on that cfg says at the time.
func newLogger(w io.Writer, cfg *config.Config) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg}
	if cfg.String("log.format") == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
