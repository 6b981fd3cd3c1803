package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/meerkat-zk/meerkat/server"
	"github.com/meerkat-zk/meerkat/server/zoocfg"
)

// Signals that a running server answers. SIGTERM and SIGINT end it and are main's; a SIGHUP, by
// which logrotate and systemctl reload ask, has it read its file again, and a SIGQUIT prints all
// goroutines, as a JVM does its threads. After both it goes on.

// asked are those signals. The runtime sends; one that waits stands for all of its kind.
type asked struct{ reload, dump chan os.Signal }

// signals asks for them, before the server starts: a SIGHUP while it loads its data must not end
// it. A pipe of the log that nobody reads any more ends nobody either: its lines are lost, no more.
func signals() (a asked, stop func()) {
	a = asked{make(chan os.Signal, 1), make(chan os.Signal, 1)}
	signal.Notify(a.reload, syscall.SIGHUP)
	signal.Notify(a.dump, syscall.SIGQUIT)
	signal.Ignore(syscall.SIGPIPE)
	return a, func() {
		signal.Stop(a.reload)
		signal.Stop(a.dump)
	}
}

// answer answers signals until the context ends.
func (a asked) answer(ctx context.Context, r *reload) {
	for {
		select {
		case <-a.reload:
			r.again()
		case <-a.dump:
			r.console.dump()
		case <-ctx.Done():
			return
		}
	}
}

// A reload is how a running server takes over what its file has changed. One goroutine has it.
type reload struct {
	server      *server.Server
	console     *console
	file        string // "": there is none
	text        string // of the file that the server was started with
	levelByFlag string // --log-level, "" unless it was given
}

// again reads the file. What is wrong with it leaves everything as it was.
func (r *reload) again() {
	log := r.console.logger
	if r.file == "" {
		log.Info("there is no configuration file to read again")
		return
	}
	cfg, warnings, err := zoocfg.Load(r.file)
	if err == nil { // what could not be started with is not taken over either
		more, unserved := cfg.Served()
		warnings, err = append(warnings, more...), unserved
	}
	for _, w := range warnings {
		log.Warn(w.String())
	}
	if err == nil {
		err = r.console.setLevel(logLevel(cfg, r.levelByFlag))
	}
	if err != nil {
		log.Error("the configuration was not read again; all is as before", "err", err)
		return
	}
	r.server.SetWords(cfg.FourLetterWords)
	log.Info("configuration read again", "log_level", r.console.level,
		"words", strings.Join(cfg.FourLetterWords, ","))
	if keys := zoocfg.Restart(r.text, configText(r.file)); len(keys) > 0 {
		log.Warn("changes in the configuration wait for a restart", "keys", strings.Join(keys, ", "))
	}
}

// logLevel is what is logged: the flag counts before the file.
func logLevel(cfg *zoocfg.Config, byFlag string) string {
	if byFlag != "" {
		return byFlag
	}
	return cfg.LogLevel
}
