package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	_ "net/http/pprof" // registers the profiles
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/meerkat-zk/meerkat/server"
	"github.com/meerkat-zk/meerkat/server/clientlog"
	"github.com/meerkat-zk/meerkat/server/zoocfg"
)

func serverCommand() *cobra.Command {
	var logFormat, level, pprofAddr string
	var check bool
	var in builtIn
	cmd := &cobra.Command{
		Use:   "server [zoo.cfg]",
		Short: "Run a server",
		Long: "Run a server with the configuration of a zoo.cfg. Without one: on 127.0.0.1:2181,\n" +
			"with its data in ./meerkat-data, unless --listen and --data say otherwise.\n" +
			"SIGTERM stops it cleanly.\n" +
			"With --check: tell whether it would start, and change nothing.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newConsole(cmd.ErrOrStderr(), logFormat, level)
			if err != nil {
				return &exitError{exitInvocation, err}
			}
			cfg, err := loadConfig(args, in, c)
			if err == nil {
				err = c.setLevel(logLevel(cfg, level))
			}
			if err != nil {
				return &exitError{exitInvocation, err}
			}
			if check {
				return rehearse(cfg, c)
			}
			if pprofAddr != "" {
				go servePprof(pprofAddr, c.logger) // ends with the process
			}
			r := &reload{console: c, levelByFlag: level}
			if len(args) > 0 {
				r.file, r.text = args[0], configText(args[0])
			}
			return serve(cmd.Context(), cfg, r)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false,
		"read configuration and data, say what a start would, and end")
	cmd.Flags().StringVar(&in.data, "data", "", "data directory, without a zoo.cfg")
	cmd.Flags().StringVar(&in.listen, "listen", "",
		"host:port for clients, without a zoo.cfg; no host: all interfaces")
	cmd.Flags().StringVar(&logFormat, "log", "text", "log format: text or json")
	cmd.Flags().StringVar(&level, "log-level", "",
		"log level: debug, info, warn or error (default: logLevel of the zoo.cfg, or info)")
	cmd.Flags().StringVar(&pprofAddr, "pprof", "", "serve Go profiles over HTTP on this address")
	return cmd
}

// servePprof serves net/http/pprof. A profile is a help, so its failure stops nobody.
func servePprof(addr string, logger *slog.Logger) {
	began := time.Now()
	s := http.Server{Addr: addr, Handler: http.DefaultServeMux, ReadHeaderTimeout: time.Minute,
		ErrorLog: clientlog.New(logger, func() time.Duration { return time.Since(began) }).HTTPFaults()}
	logger.Warn("profiles are not served", "addr", addr, "err", s.ListenAndServe())
}

// rehearse tells whether a server would start; nothing has changed afterwards.
func rehearse(cfg *zoocfg.Config, c *console) error {
	err := server.Check(server.Options{Config: cfg, Build: build(), Logger: c.logger})
	if err != nil {
		return startError(err)
	}
	c.logger.Info("checked: a server would start")
	return nil
}

// startError gives the reason why a server does not start its exit code.
func startError(err error) error {
	switch {
	case errors.Is(err, server.ErrConfig):
		return &exitError{exitInvocation, err}
	case errors.Is(err, server.ErrListen):
		return err
	}
	return &exitError{exitDataDir, err}
}

// threadsPerCore is how many goroutines Go may run at once, per core. Loops wait in epoll and the
// log in fdatasync while they hold one of these places; with one per core the core's goroutine
// waits until the scheduler takes a place away from them. At two, half reads and half writes on
// 32 x 16 are 12% faster (200 to 224 thousand per second on two cores).
const threadsPerCore = 2

// serve runs a server until the context ends or it cannot go on.
func serve(ctx context.Context, cfg *zoocfg.Config, r *reload) error {
	asked, stop := signals()
	defer stop()
	c := r.console
	defer tuneMemory("/", c.logger)()
	loops := runtime.GOMAXPROCS(0)
	if os.Getenv("GOMAXPROCS") == "" {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threadsPerCore * loops))
	}
	s, err := server.Start(server.Options{
		Config: cfg, ConfigText: r.text, Build: build(), Logger: c.logger, Loops: loops,
	})
	if err != nil {
		return startError(err)
	}
	r.server = s
	go asked.answer(ctx, r)
	for _, a := range s.Addrs() {
		c.logger.Info("serving", "addr", a.String())
	}
	select {
	case <-ctx.Done():
		c.logger.Info("stopping")
		err := s.Stop()
		c.logger.Info("stopped")
		return err
	case err := <-s.Failed():
		return fmt.Errorf("%w: every acknowledged write is on disk; "+
			"make room or mend the disk, then start again", err)
	}
}
