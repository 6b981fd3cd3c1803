package main

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/meerkat-zk/meerkat/server"
)

// Set by the linker (see the Makefile); a plain go build falls back to what Go recorded.
var (
	commit    string
	buildDate string // YYYY-MM-DD HH:MM UTC
)

// compatible is the ZooKeeper whose behaviour this server has. Clients and monitors parse it.
const compatible = "3.9.5"

func build() server.Build {
	c, d := commit, buildDate
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && c == "":
				c = s.Value[:min(len(s.Value), 12)]
			case s.Key == "vcs.time" && d == "":
				if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
					d = t.UTC().Format("2006-01-02 15:04 UTC")
				}
			}
		}
	}
	if c == "" {
		c = "dev"
	}
	if d == "" {
		d = "1970-01-01 00:00 UTC"
	}
	return server.Build{Version: compatible + "-meerkat-" + c, Date: d}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), build())
		},
	}
}
