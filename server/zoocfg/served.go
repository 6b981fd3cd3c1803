package zoocfg

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// What a file may ask for and this release does not do. It is here and in unserved.go alone.

// A verdict gathers what is said of a Config.
type verdict struct {
	c        *Config
	warnings []Warning
	errs     []error
}

// Served tells what of the Config would be missing: an error where clients would be turned away
// or served less safely than the file asks, a warning for the rest.
func (c *Config) Served() ([]Warning, error) {
	v := verdict{c: c}
	v.checkMembers()
	v.checkTLS()
	v.checkSASL()
	v.warnOfTheRest()
	return v.warnings, errors.Join(v.errs...)
}

// Errorf is an error about a key, with its place in the file; the key "" is the whole file.
func (c *Config) Errorf(key, format string, args ...any) error {
	at := c.places[key]
	if key == "" {
		at.file = c.places["dataDir"].file // each file has one
	}
	return &Error{at.file, at.line, key, fmt.Sprintf(format, args...)}
}

func (v *verdict) refuse(key, format string, args ...any) {
	v.errs = append(v.errs, v.c.Errorf(key, format, args...))
}

func (v *verdict) warn(key, format string, args ...any) {
	at := v.c.places[key]
	v.warnings = append(v.warnings, Warning{at.file, at.line,
		key + ": " + fmt.Sprintf(format, args...)})
}

// checkMembers is the one place that refuses an ensemble of several voters.
func (v *verdict) checkMembers() {
	q := &v.c.Quorum
	if !v.c.Alone() {
		key := ""
		if len(q.Members) > 0 {
			key = fmt.Sprintf("server.%d", q.Members[len(q.Members)-1].ID)
		}
		v.refuse(key, "this release serves standalone only: a single voter, or no server lines")
		return
	}
	for _, m := range q.Members {
		if m.Observer && v.c.Ensemble() {
			v.warn(fmt.Sprintf("server.%d", m.ID), "an observer cannot join, for this release opens "+
				"no quorum port")
		}
	}
	if _, ok := v.c.ClientAddr(); !ok {
		v.refuse("", "clientPort is not set, so no client could ever connect")
	}
}

func (v *verdict) checkTLS() {
	c := v.c
	if c.SecureClientPort >= 0 {
		v.refuse("secureClientPort", "TLS is not served by this release; "+
			"remove the key, or put a TLS proxy before clientPort")
	}
	if !c.Admin.Enable {
		return
	}
	if c.Admin.ForceHTTPS {
		v.refuse("admin.forceHttps", "HTTPS is not served by this release, and plain HTTP is not "+
			"what the file asks for; remove the key, or set admin.enableServer=false")
	}
	if c.Admin.PortUnification {
		v.warn("admin.portUnification", "HTTPS is not served by this release, HTTP is")
	}
	if c.Admin.NeedClientAuth {
		v.warn("admin.needClientAuth", "HTTPS is not served by this release: over HTTP nobody has "+
			"a certificate")
	}
}

const schemeSASL = "sasl"

// serveWithoutSASL is a key of our own, for who knows what it gives up.
const serveWithoutSASL = "meerkat.serveWithoutSASL"

// checkSASL refuses a file that lets in nobody without SASL.
func (v *verdict) checkSASL() {
	c := v.c
	switch demand := c.demandsSASL(); {
	case demand != "" && !c.ServeWithoutSASL:
		v.refuse(demand, "demands SASL, which this release does not serve; %s=true lets clients "+
			"in without it", serveWithoutSASL)
	case demand != "":
		v.warn(serveWithoutSASL, "%s demands SASL, and clients are let in without it: "+
			"nothing but ACLs guards the znodes", demand)
	}
	for _, suffix := range sortedKeys(c.AuthProviders) {
		if c.AuthProviders[suffix] == authPackage+"SASLAuthenticationProvider" {
			v.warn("authProvider."+suffix, "SASL is not served by this release: clients that "+
				"authenticate by it fail, and znodes with sasl ACLs stay closed")
		}
	}
}

// demandsSASL is the key that lets in nobody without SASL, "" without one. Java's server does not
// read requireClientAuthScheme; who wrote it believed that it does.
func (c *Config) demandsSASL() string {
	switch {
	case c.RequireClientSASL:
		return "sessionRequireClientSASLAuth"
	case c.EnforceAuth && len(c.EnforceAuthSchemes) > 0 &&
		!slices.ContainsFunc(c.EnforceAuthSchemes, func(s string) bool { return s != schemeSASL }):
		return "enforce.auth.schemes"
	case strings.EqualFold(c.RequireClientAuthScheme, schemeSASL):
		return "requireClientAuthScheme"
	default:
		return ""
	}
}

// AuthSchemes are those of which a client must have an identity; nil: it need not
// (AuthenticationHelper).
func (c *Config) AuthSchemes() []string {
	if c.demandsSASL() != "" || !c.EnforceAuth {
		return nil // what demands SASL is refused, or was given up
	}
	return c.EnforceAuthSchemes
}

func (v *verdict) warnOfTheRest() {
	c := v.c
	for _, x := range []struct {
		asked bool
		key   string
	}{
		{c.Metrics.HTTPSPort >= 0, "metricsProvider.httpsPort"},
		{c.ClientPortUnification, "client.portUnification"},
		{c.ReadOnlyMode, "readonlymode.enabled"},
		{c.LocalSessions, "localSessionsEnabled"},
		{len(c.SuperUsers) > 0, cmp.Or(c.placed("superUser"), "superUser")},
		{!c.DBAutocreate, "db.autocreate"},
		{c.AuditEnable, "audit.enable"},
		{c.ConnectionThrottle.Tokens > 0, "connection_throttle_tokens"},
		{c.RequestThrottle.MaxRequests > 0, "request_throttle_max_requests"},
		{c.ThrottledOpWait > 0, "throttled_op_wait_time"},
		{c.LargeRequestThreshold > 0, "largeRequestThreshold"},
		{c.FlushDelay > 0, "flushDelay"},
	} {
		if x.asked {
			v.warn(x.key, "this release does not do what it asks for")
		}
	}
}

// placed is the first key of the file that begins so.
func (c *Config) placed(prefix string) string {
	for _, name := range sortedKeys(c.places) {
		if strings.HasPrefix(name, prefix) {
			return name
		}
	}
	return ""
}
