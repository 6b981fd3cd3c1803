package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/meerkat-zk/meerkat/server/zoocfg"
)

// Where a server's configuration comes from: a zoo.cfg, or what is built in, of which the command
// line may say two things.

// builtIn is what the command line says in place of a zoo.cfg; "" leaves it as it is built in.
type builtIn struct{ data, listen string }

// config is the built-in configuration with that.
func (b builtIn) config() (*zoocfg.Config, error) {
	cfg := zoocfg.Default()
	if b.data != "" {
		cfg.DataDir, cfg.DataLogDir = b.data, b.data
	}
	if b.listen == "" {
		return cfg, nil
	}
	host, port, err := net.SplitHostPort(b.listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: want host:port, or :port for all interfaces", b.listen)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %q is no port (want 0 to 65535)", b.listen, port)
	}
	cfg.ClientPortAddress, cfg.ClientPort = host, int(n)
	return cfg, nil
}

// loadConfig reads the file that the arguments name, or takes the built-in configuration.
func loadConfig(args []string, in builtIn, c *console) (*zoocfg.Config, error) {
	if len(args) == 0 {
		cfg, err := in.config()
		if err == nil {
			addr, _ := cfg.ClientAddr() // it has one
			c.sayDefaults(addr, cfg.DataDir)
		}
		return cfg, err
	}
	if in != (builtIn{}) {
		return nil, errors.New("--data and --listen are for a server without a zoo.cfg: " +
			"set dataDir, clientPort and clientPortAddress in " + args[0])
	}
	cfg, warnings, err := zoocfg.Load(args[0])
	for _, w := range warnings {
		c.logger.Warn(w.String())
	}
	return cfg, err
}

// configText is the configuration file as it is, for operators who ask the running server.
func configText(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "" // it was there a moment ago; nothing else depends on it
	}
	return string(text)
}
