package zoocfg

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// parse reads a file that holds text after a dataDir, both on lines of their own.
func parse(text string) (*Config, []string, error) {
	c, warnings, err := Parse("zoo.cfg", strings.NewReader("dataDir=/d\n"+text))
	var w []string
	for _, warning := range warnings {
		w = append(w, warning.String())
	}
	return c, w, err
}

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, warnings, err := parse(text)
	if err != nil || warnings != nil {
		t.Fatalf("%q: %v %v", text, warnings, err)
	}
	return c
}

func TestDefault(t *testing.T) {
	c := Default()
	if addr, ok := c.ClientAddr(); addr != "127.0.0.1:2181" || !ok {
		t.Errorf("client address %s %v", addr, ok)
	}
	if _, ok := c.SecureClientAddr(); ok || c.Ensemble() {
		t.Error("a secure port, or an ensemble")
	}
	if c.DataDir != "./meerkat-data" || c.DataLogDir != c.DataDir {
		t.Errorf("data in %s and %s", c.DataDir, c.DataLogDir)
	}
	if c.TickTime != 2*time.Second || c.MinSessionTimeout != 4*time.Second ||
		c.MaxSessionTimeout != 40*time.Second {
		t.Errorf("times %v %v %v", c.TickTime, c.MinSessionTimeout, c.MaxSessionTimeout)
	}
}

func TestTypicalFile(t *testing.T) {
	c := mustParse(t, `
# The number of milliseconds of each tick
tickTime=2000
initLimit=10
syncLimit=5
clientPort=2181
clientPortAddress = ::1
dataLogDir : /log
maxClientCnxns 0
autopurge.purgeInterval=24
autopurge.snapRetainCount=5
4lw.commands.whitelist = stat, ruok , ,conf
zookeeper.preAllocSize=1024
jute.maxbuffer=0x9fffff
forceSync=YES
metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider
metricsProvider.httpPort=7001
authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider
superUser=a
superUser.2=b
snapshot.compression.method=
jvm.pause.monitor=anything
`)
	for _, check := range []struct {
		name      string
		got, want any
	}{
		{"tickTime", c.TickTime, 2 * time.Second},
		{"minSessionTimeout", c.MinSessionTimeout, 4 * time.Second},
		{"dataDir", c.DataDir, "/d"},
		{"dataLogDir", c.DataLogDir, "/log"},
		{"maxClientCnxns", c.MaxClientCnxns, 0},
		{"purgeInterval", c.PurgeInterval, 24 * time.Hour},
		{"snapRetainCount", c.SnapRetainCount, 5},
		{"words", c.FourLetterWords, []string{"stat", "ruok", "conf", "srvr"}},
		{"preAllocSize", c.PreAllocBytes, int64(1 << 20)},
		{"jute.maxbuffer", c.JuteMaxBuffer, 0x9fffff},
		{"extrasize", c.JuteMaxBufferExtra, 0x9fffff},
		{"metricsProvider", c.Metrics, Metrics{"0.0.0.0", 7001, -1, true}},
		{"sasl", c.HasAuthProvider("SASLAuthenticationProvider"), true},
		{"ensemble", c.HasAuthProvider("EnsembleAuthenticationProvider"), false},
		{"superUsers", c.SuperUsers, []string{"a", "b"}},
		{"compression", c.HasSnapshotCompression, true},
		{"connectLimit", c.Quorum.ConnectLimit, 10},
		{"cnxnTimeout", c.Quorum.CnxnTimeout, 10 * time.Second},
	} {
		if !reflect.DeepEqual(check.got, check.want) {
			t.Errorf("%s: got %v, want %v", check.name, check.got, check.want)
		}
	}
	if addr, _ := c.ClientAddr(); addr != "[::1]:2181" {
		t.Errorf("client address %s", addr)
	}
}

func TestDefaultsOfAFileAreJavas(t *testing.T) {
	c := mustParse(t, "clientPort=0\n")
	if c.TickTime != 3*time.Second || c.ClientPortAddress != "" || c.DataLogDir != "/d" ||
		c.HasSnapshotCompression {
		t.Errorf("%+v", c)
	}
	if addr, ok := c.ClientAddr(); addr != ":0" || !ok {
		t.Errorf("client address %s", addr)
	}
}

func TestIntervals(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "-1": 0, "12": 12 * time.Hour, "30m": 30 * time.Minute, "5S": 5 * time.Second,
		"250ms": 250 * time.Millisecond, "2h": 2 * time.Hour, "7d": 7 * 24 * time.Hour,
	} {
		c := mustParse(t, "clientPort=1\nautopurge.purgeInterval="+text)
		if c.PurgeInterval != want {
			t.Errorf("%s: got %v", text, c.PurgeInterval)
		}
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"tickTime=2oo0":         `2: tickTime: "2oo0" is not a number of milliseconds (want 1 or more)`,
		"\n\ntickTime = 0":      `4: tickTime: 0 is too small (want 1 or more)`,
		"clientPort=65536":      `2: clientPort: 65536 is too large (want at most 65535)`,
		"clientPort=-1":         `2: clientPort: -1 is too small (want 0 to 65535)`,
		"dataLogDir=":           `2: dataLogDir: the path is empty`,
		"admin.commandURL=cmds": `2: admin.commandURL: "cmds" does not begin with /`,
		"metricsProvider.className=com.example.M": `2: metricsProvider.className: ` +
			`"com.example.M" is not one of ` + defaultMetrics + `, ` + nullMetrics + `, ` +
			prometheusMetrics,
		"metricsProvider.httpPort=7k": `2: metricsProvider.httpPort: "7k" is not a number ` +
			`(want 0 to 65535)`,
		"electionAlg=2":         `2: electionAlg: "2" is not one of 3`,
		"peerType=leader":       `2: peerType: "leader" is not one of participant, observer`,
		"x=\\u12":               `2: a \u is not followed by four hex digits`,
		"clientPortAddress=::1": `2: clientPortAddress: is set, but clientPort is not`,
		"secureClientPortAddress=::1": `2: secureClientPortAddress: is set, ` +
			`but secureClientPort is not`,
		"minSessionTimeout=9\nmaxSessionTimeout=8": `2: minSessionTimeout: 9 ms is more than ` +
			`maxSessionTimeout, 8 ms`,
		"maxSessionTimeout=8": `2: minSessionTimeout: 6000 ms is more than ` +
			`maxSessionTimeout, 8 ms`,
		"autopurge.purgeInterval=1w": `2: autopurge.purgeInterval: "1w" is not a time ` +
			`(want hours, or a number and ms, s, m, h or d)`,
		"enforce.auth.enabled=true": `2: enforce.auth.enabled: is true, ` +
			`but enforce.auth.schemes is not set`,
		"quorum.auth.serverRequireSasl=true": `2: quorum.auth.serverRequireSasl: ` +
			`needs quorum.auth.enableSasl`,
		"quorum.auth.enableSasl=true\nquorum.auth.serverRequireSasl=true": `3: ` +
			`quorum.auth.serverRequireSasl: needs quorum.auth.learnerRequireSasl`,
		"standaloneEnabled=false": `2: standaloneEnabled: is false, ` +
			`but there is no participant`,
		"tickTime=a\nclientPort=b": `2: tickTime: "a" is not a number of milliseconds ` +
			"(want 1 or more)\nzoo.cfg:3: clientPort: \"b\" is not a number (want 0 to 65535)",
	} {
		c, _, err := parse(text)
		if err == nil || err.Error() != "zoo.cfg:"+want {
			t.Errorf("%q:\n got %v\nwant zoo.cfg:%s", text, err, want)
		}
		var bad *Error
		if c != nil || !errors.As(err, &bad) || bad.Line < 2 {
			t.Errorf("%q: %v, %+v", text, c, bad)
		}
	}
}

func TestNoDataDir(t *testing.T) {
	_, _, err := Parse("f", strings.NewReader("clientPort=1"))
	if err == nil || err.Error() != "f: dataDir is not set" {
		t.Errorf("got %v", err)
	}
}

func TestWarnings(t *testing.T) {
	for text, want := range map[string]string{
		"clientPort=1\nclientport=2": "3: clientport: unknown key, ignored; " +
			"did you mean clientPort?",
		"clientPort=1\nzookeeper.snapCuont=7": "3: zookeeper.snapCuont: unknown key, " +
			"ignored; did you mean snapCount?",
		"clientPort=1\nfavouriteColour=red": "3: favouriteColour: unknown key, ignored",
		"clientPort=1\nmetricsProvider.htpPort=7": "3: metricsProvider.htpPort: unknown key, " +
			"ignored; did you mean metricsProvider.httpPort?",
		"clientPort=1\nmetricsProvider.colour=red": "3: metricsProvider.colour: unknown key, " +
			"ignored",
		"clientPort=1\nclientPort=2": "3: clientPort: also set on line 2; " +
			"the last one counts",
		"clientPort=1\nmaxCnxns=1\nzookeeper.maxCnxns=2": "4: zookeeper.maxCnxns: also set " +
			"on line 3; the last one counts",
		"clientPort=1\nautopurge.snapRetainCount=1": "3: autopurge.snapRetainCount: " +
			"1 is too small, taken as 3",
		"clientPort=1\nsnapCount=1": "3: snapCount: 1 is too small, taken as 2",
		"clientPort=1\ncommitLogCount=0": "3: commitLogCount: 0 is too small, " +
			"taken as 500",
		"clientPort=1\njute.maxbuffer.extrasize=1": "3: jute.maxbuffer.extrasize: " +
			"1 is too small, taken as 1024",
		"clientPort=1\nsnapshotSizeFactor=2": "3: snapshotSizeFactor: above 1, " +
			"taken as 0.33",
		"clientPort=1\ndataLogDir=/\xe9": `3: bytes beyond ASCII are read as Latin-1, ` +
			`as Java does; write \uXXXX`,
		"clientPort=1\nclientPortAddress=": "3: clientPortAddress: is empty, which stands for the " +
			"loopback address, as for Java",
		"clientPort=1\nskipACL=yes": "3: skipACL: every client may do everything",
		"clientPort=1\nforceSync=no": "3: forceSync: writes that were acknowledged can be " +
			"lost when the machine fails",
		"clientPort=1\nauthProvider.x=com.example.A": "3: authProvider.x: " +
			"there is no provider com.example.A here",
		"clientPort=1\n4lw.commands.whitelist=ruok,stats": "3: 4lw.commands.whitelist: " +
			"there is no word stats; did you mean stat?",
		"clientPort=1\n4lw.commands.whitelist=*,kill!": "3: 4lw.commands.whitelist: " +
			"there is no word kill!",
		"clientPort=1\nadmin.serverPort=1\nzookeeper.admin.serverAddress=h": "4: " +
			"admin.serverAddress, admin.serverPort: no effect, for admin.enableServer is not true",
		"": " clientPort is not set: no client can connect",
	} {
		_, warnings, err := parse(text)
		if err != nil || !slices.Equal(warnings, []string{"zoo.cfg:" + want}) {
			t.Errorf("%q:\n got %v %q\nwant zoo.cfg:%s", text, err, warnings, want)
		}
	}
}

// What Java's PrometheusMetricsProvider reads is no surprise.
func TestMetricsProviderKeys(t *testing.T) {
	var file strings.Builder
	for _, line := range []string{"httpHost=h", "httpPort=1", "exportJvmInfo=false",
		"httpsPort=2", "numWorkerThreads=1", "maxQueueSize=2", "workerShutdownTimeoutMs=3",
		"prometheusMetricsSummaryRotateIntervalSeconds=4", "ssl.keyStore.location=a",
		"ssl.keyStore.password=b", "ssl.keyStore.type=JKS", "ssl.trustStore.location=a",
		"ssl.trustStore.password=b", "ssl.trustStore.type=JKS", "ssl.need.client.auth=true",
		"ssl.want.client.auth=true", "ssl.enabledProtocols=TLSv1.3", "ssl.ciphersuites=c",
	} {
		file.WriteString("metricsProvider." + line + "\n")
	}
	c, warnings, err := parse("clientPort=1\n" + file.String())
	if err != nil || warnings != nil {
		t.Fatalf("%v %q", err, warnings)
	}
	if want := (Metrics{"h", 1, 2, false}); c.Metrics != want {
		t.Errorf("got %+v, want %+v", c.Metrics, want)
	}
}

func TestRaisedValues(t *testing.T) {
	c, _, err := parse("snapCount=-5\nautopurge.snapRetainCount=0\n" +
		"commitLogCount=1\njute.maxbuffer.extrasize=0\nclientPort=4\nclientPort=5\n" +
		"dataLogDir=/\xe9\\u00e9\nsnapSizeLimitInKb=-7\nreadonlymode.enabled=true\n" +
		"4lw.commands.whitelist=ruok\nflushDelay=30")
	if err != nil {
		t.Fatal(err)
	}
	if c.SnapCount != 2 || c.SnapRetainCount != 3 || c.Quorum.CommitLogCount != 500 ||
		c.JuteMaxBufferExtra != 1024 || c.ClientPort != 5 || c.DataLogDir != "/éé" ||
		c.SnapSizeLimitBytes != 0 || c.MaxWriteQueuePoll != 10*time.Millisecond ||
		!slices.Equal(c.FourLetterWords, []string{"ruok", "srvr", "isro"}) {
		t.Errorf("%+v", c)
	}
}

func TestNearest(t *testing.T) {
	for name, want := range map[string]string{
		"dataDri": "dataDir", "TICKTIME": "tickTime", "maxClientCnxn": "maxClientCnxns",
		"autopurge.purgeIntervall": "autopurge.purgeInterval", "sever.1": "server.*",
		"x": "", "": "", "completelyDifferent": "", "autopurge.sizeLimit": "",
		"metricsProvider.foo": "", "metricProvider.httpPort": "metricsProvider.httpPort",
	} {
		if got := nearestKey(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	if d := distance("kitten", "sitting", 9); d != 3 {
		t.Errorf("kitten, sitting: %d", d)
	}
}

// Every row has a name of its own, a meaning, and a default that a file may say as well; and
// all rows together set each field of Config once and leave none out.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for i, k := range keys {
		if k.name == "" || seen[k.name] || k.means == "" || k.kind.want == "" {
			t.Errorf("row %d: %+v", i, k)
		}
		seen[k.name] = true
		found, _, suffix := find(strings.Replace(k.name, "*", "7", 1))
		if found != &keys[i] || suffix != "" && suffix != "7" {
			t.Errorf("%s is not found by its name", k.name)
		}
		if k.kind.set == nil != (k.odd() == "" && k.kind.want == "anything") {
			t.Errorf("%s: odd values: %q", k.name, k.odd())
		}
		if k.def != "" {
			if err := k.kind.set(&Config{}, "", k.def); err != nil {
				t.Errorf("%s: default: %v", k.name, err)
			}
		}
	}
	if all := Keys(); len(all) != len(keys) || all[0].Name > all[1].Name {
		t.Errorf("%d keys of %d, from %s", len(all), len(keys), all[0].Name)
	}
}

func TestMarks(t *testing.T) {
	for _, k := range Keys() {
		switch k.Name {
		case "secureClientPort", "ssl.keyStore.location", "group.*", "maxBatchSize":
			if !k.Unserved || k.Ignored {
				t.Errorf("%+v", k)
			}
		case "clientPort", "reconfigEnabled", "server.*", "standaloneEnabled", "globalOutstandingLimit":
			if k.Unserved || k.Ignored {
				t.Errorf("%+v", k)
			}
		case "snapshot.compression.method":
			if k.Default != "snappy" {
				t.Errorf("%+v", k)
			}
		}
	}
}

// Two keys that share a field are aliases; this is the list of them.
func TestEachFieldHasItsKey(t *testing.T) {
	aliases := []string{"leader.maxConcurrentSnapshots", "observer.syncEnabled", "superUser.*"}
	touched := map[string]string{}
	for _, k := range keys {
		if k.kind.set == nil || k.name == "electionAlg" || slices.Contains(aliases, k.name) {
			continue
		}
		before, after := withDefaults(), withDefaults()
		if k.kind.set(after, "7", sample(k)) != nil {
			t.Errorf("%s: no sample", k.name)
			continue
		}
		changed := differences(reflect.ValueOf(*before), reflect.ValueOf(*after), "")
		if k.name == "snapshot.compression.method" {
			changed = slices.DeleteFunc(changed, func(f string) bool {
				return f == ".HasSnapshotCompression"
			})
			touched[".HasSnapshotCompression"] = k.name
		}
		if len(changed) != 1 {
			t.Errorf("%s changes %v", k.name, changed)
			continue
		}
		if other, twice := touched[changed[0]]; twice {
			t.Errorf("%s and %s both set %s", other, k.name, changed[0])
		}
		touched[changed[0]] = k.name
	}
	touched[".Quorum.Version"] = "the name of dynamicConfigFile"
	touched[".places"] = "all"
	touched[".Quorum.MyID"] = "dataDir/myid"
	for _, field := range fields(reflect.TypeFor[Config](), "") {
		if touched[field] == "" {
			t.Errorf("no key sets %s", field)
		}
	}
}

// A key that is not marked as unserved or ignored sets a field that is read somewhere outside
// this package, so that the marks in docs/configuration.md cannot fall behind.
func TestServedKeysAreRead(t *testing.T) {
	var source strings.Builder
	for _, pattern := range []string{"../*.go", "../admin/*.go", "../../cmd/meerkat/*.go",
		"served.go", "members.go", "parse.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || files == nil {
			t.Fatalf("%s: %v %v", pattern, files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(file, "_test.go") {
				source.Write(text)
			}
		}
	}
	for _, k := range Keys() {
		row := byName[k.Name]
		switch {
		case k.Ignored, k.Unserved, k.Name == "authProvider.*", // read by HasAuthProvider
			k.Name == "clientPortAddress": // by ClientAddr
			continue
		}
		before, after := withDefaults(), withDefaults()
		if err := row.kind.set(after, "7", sample(*row)); err != nil {
			t.Fatalf("%s: %v", k.Name, err)
		}
		for _, field := range differences(reflect.ValueOf(*before), reflect.ValueOf(*after), "") {
			name := field[strings.LastIndexByte(field, '.'):]
			if !regexp.MustCompile(regexp.QuoteMeta(name) + `\b`).MatchString(source.String()) {
				t.Errorf("%s: nobody reads %s", k.Name, field)
			}
		}
	}
	for name := range unserved {
		if byName[name] == nil {
			t.Errorf("%s is not a key", name)
		}
	}
}

// sample is a value for the key other than its default.
func sample(k key) string {
	for _, v := range []string{"true", "false", "yes", "no", "1", "17", "1024", "gz", "none", "debug",
		prometheusMetrics, "observer", "h:1:2"} {
		c, d := withDefaults(), withDefaults()
		if k.kind.set(c, "7", v) == nil && !reflect.DeepEqual(c, d) {
			return v
		}
	}
	return "/x"
}

func differences(a, b reflect.Value, at string) (diff []string) {
	if a.Kind() != reflect.Struct {
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			diff = append(diff, at)
		}
		return diff
	}
	for i := range a.NumField() {
		if !a.Type().Field(i).IsExported() {
			continue
		}
		diff = append(diff, differences(a.Field(i), b.Field(i), at+"."+a.Type().Field(i).Name)...)
	}
	return diff
}

func fields(t reflect.Type, at string) (all []string) {
	if t.Kind() != reflect.Struct {
		return []string{at}
	}
	for i := range t.NumField() {
		all = append(all, fields(t.Field(i).Type, at+"."+t.Field(i).Name)...)
	}
	return all
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	dynamic := write("zoo.cfg.dynamic.1f", "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n")
	write("myid", "2\n")
	head := "dataDir=" + dir + "\nclientPort=1\ninitLimit=1\nsyncLimit=1\n"
	path := write("zoo.cfg", head+"dynamicConfigFile="+dynamic)
	c, warnings, err := Load(path)
	if err != nil || warnings != nil || !c.Ensemble() ||
		c.Quorum.Version != 0x1f || c.Quorum.MyID != 2 {
		t.Fatalf("%v %v %+v", warnings, err, c)
	}
	bad := write("zoo.cfg.dynamic.x", "server.1=a:1:2\n\nversion=7\nserver.2=b:1\n")
	for text, want := range map[string]string{
		"dynamicConfigFile=" + dynamic + "\nserver.9=h:1:2": path + ":6: server.9: must stand " +
			"in the file that dynamicConfigFile names",
		"dynamicConfigFile=" + bad: bad + ":3: version: only server, group and weight keys " +
			"may stand here\n" + bad + ":4: server.2: \"b:1\": " + errMemberForm.Error(),
		"dynamicConfigFile=" + dir + "/none": path + ":5: dynamicConfigFile: open " + dir +
			"/none: no such file or directory",
	} {
		write("zoo.cfg", head+text)
		if _, _, err := Load(path); err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
	if _, _, err := Load(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("dataDir=/d\nclientPort=2181\nserver.1=a:1:2;3\n")
	f.Add("server.1=[::1]:1:2:observer|b:3:4:observer;h:5;6\nmultiAddress.enabled=true")
	f.Add("group.1=1:2\nweight.1=3\nautopurge.purgeInterval=5d\n\\u00e9 = \\\n x")
	f.Fuzz(func(t *testing.T, text string) {
		c, warnings, err := Parse("f", strings.NewReader("dataDir=/d\n"+text))
		if (c == nil) != (err != nil) {
			t.Fatalf("%v and %v", c, err)
		}
		if c != nil && (c.MinSessionTimeout > c.MaxSessionTimeout || c.TickTime <= 0) {
			t.Fatalf("times %v %v %v", c.TickTime, c.MinSessionTimeout, c.MaxSessionTimeout)
		}
		for _, w := range warnings {
			if !strings.HasPrefix(w.String(), "f:") {
				t.Fatalf("warning %q", w)
			}
		}
	})
}
