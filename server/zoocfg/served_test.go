package zoocfg

import (
	"slices"
	"strings"
	"testing"
)

// What this release cannot serve is told with its place in the file, as an error or a warning.
func TestServed(t *testing.T) {
	const sasl = "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n"
	const offered = "3: authProvider.1: SASL is not served by this release: clients that " +
		"authenticate by it fail, and znodes with sasl ACLs stay closed"
	const demand = ": demands SASL, which this release does not serve; " +
		"meerkat.serveWithoutSASL=true lets clients in without it"
	const anyway = "meerkat.serveWithoutSASL=true\n"
	const givenUp = " demands SASL, and clients are let in without it: nothing but ACLs guards the " +
		"znodes"
	for _, c := range []struct{ text, warning, err string }{
		{"", "", ""},
		{sasl, offered, ""},
		{"sessionRequireClientSASLAuth=true", "", "3: sessionRequireClientSASLAuth" + demand},
		{"requireClientAuthScheme=sasl", "", "3: requireClientAuthScheme" + demand},
		{"requireClientAuthScheme=none", "", ""},
		{"enforce.auth.enabled=true\nenforce.auth.schemes=sasl", "",
			"4: enforce.auth.schemes" + demand},
		{"enforce.auth.enabled=false\nenforce.auth.schemes=sasl", "", ""},
		{"enforce.auth.enabled=true\nenforce.auth.schemes=digest,sasl", "", ""},
		{anyway + "sessionRequireClientSASLAuth=true",
			"3: meerkat.serveWithoutSASL: sessionRequireClientSASLAuth" + givenUp, ""},
		{anyway + "enforce.auth.enabled=true\nenforce.auth.schemes=sasl",
			"3: meerkat.serveWithoutSASL: enforce.auth.schemes" + givenUp, ""},
		{"secureClientPort=2", "", "3: secureClientPort: TLS is not served by this release; remove " +
			"the key, or put a TLS proxy before clientPort"},
		{"admin.enableServer=true\nadmin.forceHttps=true", "", "4: admin.forceHttps: HTTPS is not " +
			"served by this release, and plain HTTP is not what the file asks for; remove the key, " +
			"or set admin.enableServer=false"},
		{"admin.enableServer=true\nadmin.needClientAuth=true", "4: admin.needClientAuth: HTTPS is " +
			"not served by this release: over HTTP nobody has a certificate", ""},
		{"audit.enable=true", "3: audit.enable: this release does not do what it asks for", ""},
		{"zookeeper.superUser.2=a", "3: superUser.2: this release does not do what it asks for", ""},
		{"initLimit=1\nsyncLimit=1\nserver.1=a:1:2\nserver.2=b:1:2", "", "6: server.2: this release " +
			"serves standalone only: a single voter, or no server lines"},
	} {
		cfg, _, err := parse("clientPort=1\n" + c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		warnings, err := cfg.Served()
		var said []string
		for _, w := range warnings {
			said = append(said, w.String())
		}
		var want []string
		if c.warning != "" {
			want = []string{"zoo.cfg:" + c.warning}
		}
		if !slices.Equal(said, want) {
			t.Errorf("%q: it says %q, want %q", c.text, said, want)
		}
		if err == nil && c.err != "" || err != nil && err.Error() != "zoo.cfg:"+c.err {
			t.Errorf("%q:\n got %v\nwant zoo.cfg:%s", c.text, err, c.err)
		}
	}
	cfg, _, err := parse("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.Served(); err == nil || err.Error() != "zoo.cfg: clientPort is not set, so no "+
		"client could ever connect" {
		t.Error(err)
	}
}

func TestAuthSchemes(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		"enforce.auth.enabled=true\nenforce.auth.schemes=digest,sasl": "digest,sasl",
		"enforce.auth.schemes=digest":                                 "",
		"enforce.auth.enabled=true\nenforce.auth.schemes=sasl\n" +
			"meerkat.serveWithoutSASL=true": "",
		"sessionRequireClientSASLAuth=true\nmeerkat.serveWithoutSASL=true": "",
	} {
		cfg, _, err := parse("clientPort=1\n" + text)
		if err != nil || strings.Join(cfg.AuthSchemes(), ",") != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
