package zoocfg

import (
	"errors"
	"strings"
)

// What the documents say of odd values. It is found by trying some, so that it cannot fall behind;
// what Java does otherwise is in javaNotes.

// odd says what becomes of a value that cannot be, "" where any text can.
func (k *key) odd() string {
	if k.kind.set == nil {
		return ""
	}
	said := k.tried("odd value")
	if low := k.tried("-2147483648"); strings.HasPrefix(low, "counts as") && low != said {
		said += "; less " + low
	}
	note := javaNotes[k.name]
	if said != "" && note != "" {
		said += "; "
	}
	return said + note
}

// tried says what becomes of one value.
func (k *key) tried(value string) string {
	var odd *oddity
	switch err := k.kind.set(withDefaults(), "7", value); {
	case err == nil:
		return ""
	case !errors.As(err, &odd):
		return "refused"
	case odd.isDefault:
		return "the default"
	default:
		_, meaning, _ := strings.Cut(odd.text, " counts as ")
		meaning, _, _ = strings.Cut(meaning, ",")
		meaning, _, _ = strings.Cut(meaning, ":")
		return "counts as " + meaning
	}
}

const (
	notInFile  = "Java reads it from its command line alone, not from zoo.cfg"
	asItStands = "quotes, ~, $ and # are parts of the name, with a warning; empty: refused"
	hostForm   = "empty: the loopback address; IPv6 may stand in brackets"
	smallOnly  = "in small letters alone"
)

// javaNotes are what the trials do not show, by key. Each was seen with a Java server of 3.8 or
// read in its source.
var javaNotes = map[string]string{
	"dataDir": asItStands, "dataLogDir": asItStands, "dynamicConfigFile": asItStands,
	"clientPortAddress": hostForm, "secureClientPortAddress": hostForm,
	"admin.serverAddress": hostForm, "metricsProvider.httpHost": hostForm,
	"skipACL": "yes " + smallOnly, "forceSync": "no " + smallOnly, "leaderServes": "no " + smallOnly,
	"admin.enableServer": "false " + smallOnly,
	"jute.maxbuffer":     notInFile, "jute.maxbuffer.extrasize": notInFile,
	"readonlymode.enabled": notInFile, "znode.container.checkIntervalMs": notInFile,
	"znode.container.maxPerMinute":           notInFile,
	"znode.container.maxNeverUsedIntervalMs": notInFile,

	"clientPort":                             "0: none for Java 3.8, any free port for 3.9 and here",
	"secureClientPort":                       "0: none",
	"minSessionTimeout":                      "-1: the default",
	"initLimit":                              "0 in an ensemble: refused; below: none can join",
	"syncLimit":                              "as initLimit",
	"nio.sessionlessCnxnTimeout":             "0 ends a Java server",
	"cnxTimeout":                             "in an ensemble it ends a Java server",
	"autopurge.purgeInterval":                "Java 3.8 refuses units",
	"enforce.auth.schemes":                   "a scheme without a provider: refused",
	"DigestAuthenticationProvider.digestAlg": "an unknown hash: refused",
	"requireClientAuthScheme":                "Java does not read it",
	"authProvider.*":                         "an unknown class: passed over, with a warning",
	"4lw.commands.whitelist":                 "an unknown word: passed over, with a warning",
	"server.*": "the line of dataDir/myid says where clients are heard: clientPort may not say " +
		"otherwise; a secure port in it is not of Java 3.8",
	serveWithoutSASL: "Java does not read it",
}
