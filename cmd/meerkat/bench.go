package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/meerkat-zk/meerkat/bench"
)

// benchCommand is `meerkat bench`: load generation and comparison.
func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Generate load and measure servers over the wire",
	}
	cmd.AddCommand(benchRunCommand(), benchVersusCommand())
	return cmd
}

// untilHangup ends a measurement with its terminal, so that its znodes are removed.
func untilHangup(ctx context.Context) (context.Context, func()) {
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}

func benchRunCommand() *cobra.Command {
	cfg := bench.DefaultConfig()
	var jsonFile string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run one workload and report throughput, latency and CPU per operation",
		Long: `Run one workload against servers that speak ZooKeeper's client protocol.

Workloads:
  mixed   getData and setData of random znodes, --read says how many are reads
  create  create of znodes that do not exist yet
  multi   multi of 4 setData
  fanout  one connection changes a znode that --connections others watch;
          measures the time until the last of them was told
  idle    sessions that only ping

Every reply is checked: order, header zxid, mzxid. A share of the reads (--verify) is compared
with what was written. A broken promise ends the run with exit code 1.
The loop is closed unless --rate is given; then latency counts from the intended send time.`,
		Example: `  meerkat bench run --servers 127.0.0.1:2181 --read 0.5 --duration 10s --json run.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Progress = cmd.ErrOrStderr()
			ctx, stop := untilHangup(cmd.Context())
			defer stop()
			report, err := bench.Run(ctx, cfg)
			if report == nil {
				return err
			}
			err = errors.Join(err, report.WriteTable(cmd.OutOrStdout()))
			if jsonFile != "" {
				err = errors.Join(err, writeFile(jsonFile, report.WriteJSON))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&cfg.Servers, "servers", cfg.Servers, "servers, host:port,…")
	f.StringVar((*string)(&cfg.Workload), "workload", string(cfg.Workload),
		fmt.Sprintf("one of %v", bench.Workloads))
	f.IntVar(&cfg.Connections, "connections", cfg.Connections, "connections, each a session")
	f.IntVar(&cfg.InFlight, "in-flight", cfg.InFlight, "unanswered requests per connection")
	f.IntVar(&cfg.Batch, "batch", 0,
		"replies that wake the generator (0: half of in-flight; 1: latency of each reply)")
	f.Float64Var(&cfg.Read, "read", cfg.Read, "share of reads in the mixed workload")
	f.IntVar(&cfg.Size, "size", cfg.Size, "bytes of data per znode")
	f.IntVar(&cfg.Znodes, "znodes", cfg.Znodes, "znodes to create and work on")
	f.DurationVar(&cfg.Duration, "duration", cfg.Duration, "length of the measured window")
	f.DurationVar(&cfg.Warmup, "warmup", cfg.Warmup, "the same load before it, not measured")
	f.Float64Var(&cfg.Rate, "rate", 0, "operations per second, open loop (0: closed loop)")
	f.IntVar(&cfg.Threads, "threads", cfg.Threads, "generator threads")
	f.DurationVar(&cfg.Timeout, "session-timeout", cfg.Timeout,
		"session timeout, and how long a server may stay silent")
	f.Float64Var(&cfg.Verify, "verify", cfg.Verify, "share of reads whose data is compared")
	f.Uint64Var(&cfg.Seed, "seed", 0, "random seed (0: pick one; it is printed)")
	f.BoolVar(&cfg.Keep, "keep", false, "leave the znodes behind")
	f.IntSliceVar(&cfg.PIDs, "pid", nil, "server processes here, to account their CPU time")
	f.StringVar(&jsonFile, "json", "", "write the report to this file, as JSON")
	return cmd
}

// writeFile creates a file with what write writes.
func writeFile(name string, write func(w io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

func benchVersusCommand() *cobra.Command {
	cfg := bench.VersusConfig{Rows: []string{"default"}, Rounds: 3, Duration: 5 * time.Second,
		Warmup: 2 * time.Second, Heat: 15 * time.Second}
	var sides [2]string
	var jsonFile string
	cmd := &cobra.Command{
		Use:   "versus",
		Short: "Compare two servers on this machine, load by load, in turns",
		Long: `Compare two servers on this machine, load by load, in turns, and write a Markdown table.
A side is name,host:port,pid; the first is the reference. make versus starts both and calls this.`,
		Example: `  meerkat bench versus --a java,127.0.0.1:2181,4711 --b meerkat,127.0.0.1:2182,4712`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Progress = cmd.ErrOrStderr()
			for i, s := range sides {
				var err error
				if cfg.Sides[i], err = bench.ParseSide(s); err != nil {
					return err
				}
			}
			ctx, stop := untilHangup(cmd.Context())
			defer stop()
			c, err := bench.Versus(ctx, cfg)
			if c == nil {
				return err
			}
			err = errors.Join(err, c.WriteMarkdown(cmd.OutOrStdout()))
			if jsonFile != "" {
				err = errors.Join(err, writeFile(jsonFile, c.WriteJSON))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&sides[0], "a", "", "the reference: name,host:port,pid")
	f.StringVar(&sides[1], "b", "", "the other one: name,host:port,pid")
	f.StringSliceVar(&cfg.Rows, "rows", cfg.Rows, "names of rows, default, or all: "+rowNames())
	f.IntVar(&cfg.Rounds, "rounds", cfg.Rounds, "rounds of each row; medians are shown")
	f.DurationVar(&cfg.Duration, "duration", cfg.Duration, "length of a measured window")
	f.DurationVar(&cfg.Warmup, "warmup", cfg.Warmup, "the same load before each window")
	f.DurationVar(&cfg.Heat, "heat", cfg.Heat, "mixed load on each side before the first row")
	f.Uint64Var(&cfg.Seed, "seed", 0, "random seed (0: pick one; it is printed)")
	f.StringVar(&jsonFile, "json", "", "write everything to this file, as JSON")
	return cmd
}

func rowNames() string {
	var names []string
	for _, r := range bench.Rows {
		names = append(names, r.Name)
	}
	return strings.Join(names, ", ")
}
