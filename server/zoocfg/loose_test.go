package zoocfg

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// What a value means that Java reads otherwise than its writer: the field it sets, and what is
// said. Each was tried with a Java server.
func TestOddValues(t *testing.T) {
	for _, c := range []struct {
		line  string
		field func(*Config) any
		want  any
		says  string // "": nothing
	}{
		{"skipACL=true", func(c *Config) any { return c.SkipACL }, false, `"true" counts as no`},
		{"skipACL=YES", func(c *Config) any { return c.SkipACL }, false, `write yes or no`},
		{"skipACL=No", func(c *Config) any { return c.SkipACL }, false, ""},
		{"forceSync=false", func(c *Config) any { return c.ForceSync }, true, `counts as yes`},
		{"forceSync=0", func(c *Config) any { return c.ForceSync }, true, `write no or yes`},
		{"forceSync=NO", func(c *Config) any { return c.ForceSync }, true, `counts as yes`},
		{"leaderServes=true", func(c *Config) any { return c.Quorum.LeaderServes }, true,
			`"true" counts as yes`},
		{"leaderServes=YES", func(c *Config) any { return c.Quorum.LeaderServes }, true, ""},
		{"extendedTypesEnabled=yes", func(c *Config) any { return c.ExtendedTypes }, false,
			`"yes" counts as false, as for Java, since it is not true; write true or false`},
		{"extendedTypesEnabled=1", func(c *Config) any { return c.ExtendedTypes }, false, "counts"},
		{"extendedTypesEnabled=TRUE", func(c *Config) any { return c.ExtendedTypes }, true, ""},
		{"enforceQuota=1", func(c *Config) any { return c.EnforceQuota }, false, "counts as false"},
		{"digest.enabled=no", func(c *Config) any { return c.DigestEnabled }, false, "counts"},
		{"digest.enabled=yes", func(c *Config) any { return c.DigestEnabled }, false, "counts"},
		{"tcpKeepAlive=yes", func(c *Config) any { return c.Quorum.TCPKeepAlive }, false, "counts"},
		{"snapshot.trust.empty=1", func(c *Config) any { return c.SnapshotTrustEmpty },
			false, "counts"},
		{"metricsProvider.exportJvmInfo=yes", func(c *Config) any { return c.Metrics.Process },
			false, "counts as false"},
		{"admin.enableServer=no", func(c *Config) any { return c.Admin.Enable }, true,
			`"no" counts as true, as for Java, since it is not false`},
		{"admin.enableServer=0", func(c *Config) any { return c.Admin.Enable }, true, "counts"},
		{"admin.enableServer=false", func(c *Config) any { return c.Admin.Enable }, false, ""},

		{"maxClientCnxns=-1", func(c *Config) any { return c.MaxClientCnxns }, 0, "-1 counts as 0"},
		{"maxCnxns=-7", func(c *Config) any { return c.MaxCnxns }, 0, "-7 counts as 0"},
		{"globalOutstandingLimit=0", func(c *Config) any { return c.GlobalOutstandingLimit }, 1,
			"0 counts as 1"},
		{"globalOutstandingLimit=many", func(c *Config) any { return c.GlobalOutstandingLimit }, 1000,
			`"many" is not a number; the default counts, as for Java: 1000`},
		{"initLimit=-1", func(c *Config) any { return c.Quorum.InitLimit }, -1, ""},
		{"clientPortListenBacklog=-5", func(c *Config) any { return c.ClientPortListenBacklog }, -1,
			"-5 counts as -1"},
		{"minSessionTimeout=-5", func(c *Config) any { return c.MinSessionTimeout }, time.Duration(0),
			"-5 counts as 0"},
		{"minSessionTimeout=-1", func(c *Config) any { return c.MinSessionTimeout },
			6 * time.Second, ""},
		{"secureClientPort=0", func(c *Config) any { return c.SecureClientPort },
			-1, "no port for TLS"},
		{"znode.container.checkIntervalMs=0", func(c *Config) any { return c.ContainerCheckInterval },
			time.Minute, "0 is too small (want 1 or more); the default counts, as for Java: 60000"},
		{"preAllocSize=64k", func(c *Config) any { return c.PreAllocBytes }, int64(64 << 20),
			`"64k" is not a number of KiB; the default counts, as for Java: 65536`},
		{"preAllocSize=-1", func(c *Config) any { return c.PreAllocBytes },
			int64(0), "-1 counts as 0"},
		{"snapCount=1e5", func(c *Config) any { return c.SnapCount }, 100000, "the default counts"},
		{"snapCount=0x10", func(c *Config) any { return c.SnapCount }, 16, ""},
		{"snapCount=#10", func(c *Config) any { return c.SnapCount }, 16, ""},
		{"snapCount=010", func(c *Config) any { return c.SnapCount }, 8, ""},
		{"snapCount=+10", func(c *Config) any { return c.SnapCount }, 10, ""},
		{"snapCount=0x+10", func(c *Config) any { return c.SnapCount },
			100000, "the default counts"},
		{"snapCount=10 # few", func(c *Config) any { return c.SnapCount },
			100000, "the default counts"},
		{"snapCount=", func(c *Config) any { return c.SnapCount }, 100000, `"" is not a number`},
		{"snapCount=5\nsnapCount=x", func(c *Config) any { return c.SnapCount },
			100000, `"x" is not`},
		{"maxCnxns=99999999999", func(c *Config) any { return c.MaxCnxns }, 0, "too large"},
		{"maxClientCnxns=010", func(c *Config) any { return c.MaxClientCnxns }, 10, ""},
		{"snapshot.compression.method=lz4", func(c *Config) any { return c.SnapshotCompression }, "",
			`"lz4" counts as no compression`},
		{"snapshot.compression.method=GZ", func(c *Config) any { return c.SnapshotCompression },
			"gz", ""},
		{"snapshotSizeFactor=a", func(c *Config) any { return c.Quorum.SnapshotSizeFactor }, 0.33,
			`"a" is not a number; the default counts`},
		{"ssl.clientAuth=maybe", func(c *Config) any { return c.ClientTLS.ClientAuth }, "need",
			`"maybe" is not one of none, want, need; the default counts`},
		{"cnxTimeout=5s", func(c *Config) any { return c.Quorum.ConnectTimeout }, 5 * time.Second,
			"the default counts"},
		{`dataLogDir="/var/lib/zk"`, func(c *Config) any { return c.DataLogDir }, `"/var/lib/zk"`,
			"the quotes are part of the name"},
		{"dataLogDir=~/zk", func(c *Config) any { return c.DataLogDir }, "~/zk", "in full"},
		{"dataLogDir=/zk # here", func(c *Config) any { return c.DataLogDir }, "/zk # here",
			"a line of its own"},
		{"metricsProvider.httpHost=[::1]", func(c *Config) any { return c.Metrics.Host },
			"::1", ""},
		{"admin.serverAddress=[::1]", func(c *Config) any { return c.Admin.Address }, "::1",
			"admin.enableServer is not true"},
		{"metricsProvider.httpHost=", func(c *Config) any { return c.Metrics.Host }, "127.0.0.1",
			"loopback"},
	} {
		cfg, warnings, err := parse("clientPort=1\n" + c.line)
		if err != nil || !reflect.DeepEqual(c.field(cfg), c.want) {
			t.Errorf("%q: %v", c.line, err)
			if cfg != nil {
				t.Errorf("%q: got %v, want %v", c.line, c.field(cfg), c.want)
			}
		}
		said := strings.Join(warnings, "\n")
		if !strings.Contains(said, c.says) || (c.says == "") != (said == "") {
			t.Errorf("%q: it says %q, want %q", c.line, said, c.says)
		}
	}
}

// These Java refuses, and so do we.
func TestStrictValues(t *testing.T) {
	for _, line := range []string{"reconfigEnabled=yes", "standaloneEnabled=1", "sslQuorum=on",
		"quorumListenOnAllIPs=yes", "syncEnabled=", "localSessionsEnabled=yes", "portUnification=1",
		"localSessionsUpgradingEnabled=no", "quorum.auth.enableSasl=1", "clientPort=0x885",
		"clientPort=2181 # the port", "clientPort=2181;", "maxClientCnxns=many", "initLimit=",
		"tickTime=-5", "autopurge.snapRetainCount=three", "minSessionTimeout=4s",
		"maxSessionTimeout=-5", "secureClientPort=-1", "secureClientPortAddress=h\nsecureClientPort=0",
		"multiAddress.enabled=yes", "clientPortListenBacklog=x", "server.1=h:0x1:2", "weight.1=-1",
	} {
		if _, warnings, err := parse("clientPort=1\n" + line); err == nil {
			t.Errorf("%q is taken: %q", line, warnings)
		}
	}
}

func TestOddColumn(t *testing.T) {
	for name, want := range map[string]string{
		"tickTime": "refused", "reconfigEnabled": "refused", "snapCount": "the default",
		"extendedTypesEnabled": "counts as false", "skipACL": "counts as no; yes in small letters alone",
		"maxClientCnxns": "refused; less counts as 0", "maxCnxns": "the default; less counts as 0",
		"snapshot.compression.method": "counts as no compression", "superUser": "",
		"serverCnxnFactory": "", "jute.maxbuffer": "the default; " + notInFile,
	} {
		if got := byName[name].odd(); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for name := range javaNotes {
		if byName[name] == nil {
			t.Errorf("%s is not a key", name)
		}
	}
}
