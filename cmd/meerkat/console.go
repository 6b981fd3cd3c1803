package main

import (
	"fmt"
	"io"
	"log/slog"
	"runtime/pprof"
	"strings"
	"time"
)

// A console is how the server speaks to its operator: by its log, and by the few lines that are
// printed whatever --log-level says. With --log json these are lines of the log, too.
type console struct {
	w      io.Writer
	level  *slog.LevelVar // the logger's
	logger *slog.Logger
	always *slog.Logger // has no level; nil when the log is text
}

func newConsole(w io.Writer, format, level string) (*console, error) {
	c := &console{w: w, level: new(slog.LevelVar)}
	if level == "" {
		level = "info" // until the file is read
	}
	if err := c.setLevel(level); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	switch format {
	case "text":
		c.logger = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: c.level}))
		return c, nil
	case "json":
		c.logger, c.always = jsonLogger(w, c.level), jsonLogger(w, slog.LevelDebug)
		return c, nil
	}
	return nil, fmt.Errorf("--log: %q is neither text nor json", format)
}

// setLevel changes what the log says from now on. Any goroutine may call it.
func (c *console) setLevel(name string) error {
	if err := c.level.UnmarshalText([]byte(name)); err != nil {
		return fmt.Errorf("%q is none of debug, info, warn, error", name)
	}
	return nil
}

// jsonLogger writes objects in which a kind of value has one form.
func jsonLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Value.Kind() == slog.KindDuration { // its unit goes into the name
				d := a.Value.Duration()
				return slog.Float64(a.Key+"_ms", float64(d)/float64(time.Millisecond))
			}
			if s, ok := a.Value.Any().(fmt.Stringer); ok && a.Value.Kind() == slog.KindAny {
				return slog.String(a.Key, s.String()) // zxids and addresses, as in the text form
			}
			return a
		}}))
}

// wantsJSON looks for --log json: also a line that cobra refuses has its form from it.
func wantsJSON(args []string) (wants bool) {
	for i, a := range args {
		if format, found := strings.CutPrefix(a, "--log="); found {
			wants = format == "json"
		}
		if a == "--log" && i+1 < len(args) {
			wants = args[i+1] == "json"
		}
	}
	return wants
}

// sayEnd prints why the program ends.
func sayEnd(w io.Writer, args []string, err error, code int) {
	if wantsJSON(args) {
		jsonLogger(w, slog.LevelError).Error("meerkat ends", "err", err, "exit_code", code)
		return
	}
	fmt.Fprintln(w, "meerkat:", err)
}

// sayDefaults tells whom no file told what is served.
func (c *console) sayDefaults(addr, data string) {
	if c.always != nil {
		c.always.Info("no configuration given", "addr", addr, "data", data)
		return
	}
	fmt.Fprintf(c.w, "no configuration given: serving on %s with data in %s\n", addr, data)
}

// dump prints the stacks of all goroutines. It is a help, so its failure stops nobody.
func (c *console) dump() {
	all := pprof.Lookup("goroutine")
	if c.always == nil {
		_ = all.WriteTo(c.w, 2)
		return
	}
	var text strings.Builder
	_ = all.WriteTo(&text, 2)
	c.always.Info("all goroutines", "goroutines", text.String())
}
