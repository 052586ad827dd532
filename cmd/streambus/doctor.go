package main

import (
	"github.com/spf13/cobra"

	"github.com/streambus/streambus/cli"
	"github.com/streambus/streambus/cli/doctor"
)

func newDoctor(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say why a client can't connect, and what to do about it",
		Long: `Goes the way of a client from this machine, step by step: the name of each bootstrap address, the connection, what
answers on the port (a Kafka broker and its versions, or TLS, a login, HTTP, nothing), the cluster, its controller and the
metadata quorum, partitions without a leader or with replicas that are not in sync, and then every address that the brokers advertise: those are where clients really go, and where most of them fail.
Run it where the client runs, with the client's bootstrap addresses.

Each finding says how bad it is (ok, warning, problem), why it matters and what to do. The exit code is 1 if there is
a problem. Nothing is changed, and nobody logs in.`,
		Example: `  streambus doctor
  streambus doctor -b kafka.example.com:9092
  streambus doctor -b broker1:9092,broker2:9092 --timeout 2s
  streambus doctor -b kafka.example.com:9092 -o json`,
		Args:              takes(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	a.brokers(c)
	c.Flags().DurationVar(&a.timeout, "timeout", doctor.DefaultTimeout, "how long to wait in each step")
	format := a.read(c)
	c.RunE = func(*cobra.Command, []string) error {
		f, err := format()
		if err != nil {
			return err
		}
		ctx, stop := interruptible()
		defer stop()
		report, err := doctor.Run(ctx, doctor.Options{Bootstrap: a.bootstrap, Timeout: a.timeout})
		if err != nil {
			return err
		}
		if err := cli.Print(a.out, f, report); err != nil {
			return err
		}
		if !report.Healthy() {
			return errSilent
		}
		return nil
	}
	return c
}
