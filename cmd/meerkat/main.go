// Command meerkat is the server, the load generator and the tools in one binary.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes are ZooKeeper's (ExitCode).
const (
	exitInvocation = 2 // bad arguments or configuration
	exitDataDir    = 3 // the data directory cannot be used
)

// An exitError ends the process with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// run does what the arguments say. It returns the exit code, and has said why it is not 0.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	err := execute(ctx, args, stdout, stderr)
	if err == nil {
		return 0
	}
	code = 1
	var exit *exitError
	if errors.As(err, &exit) {
		code = exit.code
	}
	sayEnd(stderr, args, err, code)
	return code
}

func execute(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := &cobra.Command{
		Use:           "meerkat",
		Short:         "Meerkat is ZooKeeper in Go: a drop-in coordination server",
		Version:       build().String(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(serverCommand(), versionCommand(), benchCommand())
	begun := false
	root.PersistentPreRun = func(*cobra.Command, []string) { begun = true }
	err := root.ExecuteContext(ctx)
	if err != nil && !begun { // an unknown command, flag or argument
		return &exitError{exitInvocation, err}
	}
	return err
}
