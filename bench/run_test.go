package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is a run that is over soon and verifies every read.
func small(f *fake) Config {
	cfg := DefaultConfig()
	cfg.Servers, cfg.Connections, cfg.InFlight = []string{f.addr}, 4, 8
	cfg.Znodes, cfg.Read, cfg.Verify, cfg.Seed = 10, 0.5, 1, 1
	cfg.Duration, cfg.Warmup = 200*time.Millisecond, 0
	return cfg
}

// An honest server passes every workload, and nothing is left on it.
func TestHonest(t *testing.T) {
	tests := map[string]func(*Config){
		"mixed":       func(*Config) {},
		"reads":       func(c *Config) { c.Read = 1 },
		"writes":      func(c *Config) { c.Read = 0 },
		"unpipelined": func(c *Config) { c.InFlight = 1 },
		"single":      func(c *Config) { c.Batch = 1 },
		"no data":     func(c *Config) { c.Size = 0 },
		"short data":  func(c *Config) { c.Size = 5 },
		"large data":  func(c *Config) { c.Size, c.InFlight = 300_000, 4 },
		"many znodes": func(c *Config) { c.Znodes = 3210 },
		"one znode":   func(c *Config) { c.Znodes = 1 },
		"threads":     func(c *Config) { c.Threads = 3 },
		"open loop":   func(c *Config) { c.Rate = 2000 },
		"create":      func(c *Config) { c.Workload = Create },
		"multi":       func(c *Config) { c.Workload = Multi },
		"one multi":   func(c *Config) { c.Workload, c.Znodes = Multi, 1 },
		"fanout":      func(c *Config) { c.Workload = Fanout },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			f := startFake(t)
			cfg := small(f)
			change(&cfg)
			rep, err := Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if rep.Seconds <= 0 || rep.Ops > 0 && rep.Latency.P50 <= 0 {
				t.Errorf("nothing was measured: %+v", rep)
			}
			if n, _ := f.counted(opOf(&cfg)); n < cfg.Connections {
				t.Errorf("%d connections did %d %v", cfg.Connections, n, opOf(&cfg))
			}
			if paths, _ := f.left(); len(paths) > 0 {
				t.Errorf("left behind: %v", paths)
			}
			if n, sessions := f.counted(proto.OpCloseSession); n != sessions {
				t.Errorf("%d of %d sessions were closed", n, sessions)
			}
			if cfg.Read > 0 && cfg.Workload == Mixed && rep.Verified == 0 {
				t.Error("no read was verified")
			}
		})
	}
}

// opOf is an operation that every connection does at least once.
func opOf(cfg *Config) proto.Op {
	switch {
	case cfg.Workload == Create:
		return proto.OpCreate
	case cfg.Workload == Multi:
		return proto.OpMulti
	case cfg.Workload == Mixed && cfg.Read == 0:
		return proto.OpSetData
	}
	return proto.OpGetData
}

func TestKeep(t *testing.T) {
	f := startFake(t)
	cfg := small(f)
	cfg.Keep = true
	if _, err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if paths, _ := f.left(); len(paths) != cfg.Znodes+1 {
		t.Errorf("%d znodes were kept, not %d and their root", len(paths), cfg.Znodes)
	}
}

// An open loop never runs ahead of its rate, and takes latency from the intended time.
func TestOpenLoop(t *testing.T) {
	f := startFake(t)
	cfg := small(f)
	cfg.Rate = 500
	rep, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if most := cfg.Rate*rep.Seconds + 1; float64(rep.Ops) > most {
		t.Errorf("%d operations in %v s at a rate of %v", rep.Ops, rep.Seconds, cfg.Rate)
	}
}

// Idle sessions ping often enough for the timeout that the server granted.
func TestIdlePings(t *testing.T) {
	f := startFake(t)
	f.timeoutMs = 300
	cfg := small(f)
	cfg.Workload, cfg.Duration = Idle, 500*time.Millisecond
	if _, err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if n, _ := f.counted(proto.OpPing); n < cfg.Connections {
		t.Errorf("%d pings came from %d sessions", n, cfg.Connections)
	}
}

// Where a getData answer has its data, counted from the frame's length.
const dataAt = 4 + replyHeaderBytes + 4

// A server that breaks a promise is found out, and the error says which.
func TestViolations(t *testing.T) {
	old := map[string]proto.DataStat{} // what a znode was when first read
	tests := map[string]struct {
		break_   func(*fake)
		config   func(*Config)
		complain string
	}{
		"flipped bit in the data": {
			break_: func(f *fake) {
				f.mangle = onRead(func(answer []byte) { answer[dataAt+60] ^= 4 })
			},
			complain: "its data differs from write",
		},
		"data of another znode": {
			break_: func(f *fake) {
				f.read = func(_ *fakeConn, path string, now proto.DataStat) proto.DataStat {
					last := len(path) - 1
					now.Data = f.nodes[path[:last]+string('0'+(path[last]-'0'+1)%10)].Data
					return now
				}
			},
			config:   func(c *Config) { c.Read = 1 },
			complain: "its data says it is of znode",
		},
		"data of a write to come": {
			break_: func(f *fake) {
				f.mangle = onRead(func(answer []byte) { answer[dataAt+4] = 0xff })
			},
			complain: "were sent",
		},
		"data of another length": {
			break_: func(f *fake) {
				f.read = func(_ *fakeConn, _ string, now proto.DataStat) proto.DataStat {
					now.Data = now.Data[1:]
					return now
				}
			},
			complain: "has not the 100 bytes",
		},
		"stale znode": {
			break_: func(f *fake) {
				f.read = func(_ *fakeConn, path string, now proto.DataStat) proto.DataStat {
					if _, ok := old[path]; !ok {
						old[path] = now
					}
					return old[path]
				}
			},
			complain: "mzxid stepped back",
		},
		"stale data under a fresh stat": {
			break_: func(f *fake) {
				f.read = func(_ *fakeConn, path string, now proto.DataStat) proto.DataStat {
					if _, ok := old[path]; !ok {
						old[path] = now
					}
					return proto.DataStat{Data: old[path].Data, Stat: now.Stat}
				}
			},
			config:   func(c *Config) { c.Connections, c.Verify = 1, 0 },
			complain: "and now of write",
		},
		"mzxid above the reply's zxid": {
			break_: func(f *fake) {
				f.read = func(_ *fakeConn, _ string, now proto.DataStat) proto.DataStat {
					now.Stat.Mzxid = f.zxid + 1
					return now
				}
			},
			complain: "newer than the reply's zxid",
		},
		"header zxid steps back": {
			break_: func(f *fake) {
				f.mangle = func(c *fakeConn, _ proto.Op, answer []byte) [][]byte {
					if c.n > 20 {
						binary.BigEndian.PutUint64(answer[8:], 1)
					}
					return [][]byte{answer}
				}
			},
			complain: "the header zxid stepped back",
		},
		"swapped replies": {
			break_: func(f *fake) {
				f.mangle = func(c *fakeConn, _ proto.Op, answer []byte) [][]byte {
					if c.n == 20 {
						c.last = append(c.last, answer)
						return nil
					}
					answers := append([][]byte{answer}, c.last...)
					c.last = nil
					return answers
				}
			},
			complain: "was next",
		},
		"a reply twice": {
			break_: func(f *fake) {
				f.mangle = func(c *fakeConn, _ proto.Op, answer []byte) [][]byte {
					if c.n == 20 {
						return [][]byte{answer, answer}
					}
					return [][]byte{answer}
				}
			},
			complain: "a reply to xid",
		},
		"no frame": {
			break_: func(f *fake) {
				f.mangle = func(c *fakeConn, _ proto.Op, answer []byte) [][]byte {
					if c.n == 20 {
						return [][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n\r\n")}
					}
					return [][]byte{answer}
				}
			},
			complain: "a frame of 1213486160 bytes",
		},
		"lost znode": {
			break_: func(f *fake) {
				f.fail = func(c *fakeConn, op proto.Op) proto.Code {
					if op == proto.OpGetData {
						return proto.ErrNoNode
					}
					return proto.OK
				}
			},
			complain: "answered NONODE",
		},
		"a multi that fails": {
			break_: func(f *fake) {
				f.mangle = func(c *fakeConn, op proto.Op, answer []byte) [][]byte {
					if f.ops[proto.OpMulti] < 20 || op != proto.OpMulti {
						return [][]byte{answer}
					}
					return [][]byte{failedMulti(answer)}
				}
			},
			config:   func(c *Config) { c.Workload = Multi },
			complain: "a multi failed with BADVERSION",
		},
		"an event without a watch": {
			break_: func(f *fake) {
				f.mangle = func(c *fakeConn, _ proto.Op, answer []byte) [][]byte {
					if c.n == 20 {
						event := proto.ReplyHeader{Xid: proto.XidEvent, Zxid: -1}
						return [][]byte{encode(event.Fields), answer}
					}
					return [][]byte{answer}
				}
			},
			complain: "an event came, but no watch was set",
		},
		"an event twice": {
			break_: func(f *fake) {
				f.mangle = func(c *fakeConn, op proto.Op, answer []byte) [][]byte {
					if op == proto.OpNotification {
						return [][]byte{answer, answer}
					}
					return [][]byte{answer}
				}
			},
			config:   func(c *Config) { c.Workload = Fanout },
			complain: "its watch was not set or has fired",
		},
		"a watcher that is not told": {
			break_: func(f *fake) {
				f.mangle = func(c *fakeConn, op proto.Op, answer []byte) [][]byte {
					if op == proto.OpNotification && c == f.watches[watchedPath(f)][0] {
						return nil
					}
					return [][]byte{answer}
				}
			},
			config:   func(c *Config) { c.Workload, c.Timeout = Fanout, time.Second },
			complain: "1 of 4 watchers were not told",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			clear(old)
			f := startFake(t)
			test.break_(f)
			cfg := small(f)
			cfg.Duration = 10 * time.Second // far more than it takes to be found out
			if test.config != nil {
				test.config(&cfg)
			}
			_, err := Run(t.Context(), cfg)
			if !errors.Is(err, ErrViolation) {
				t.Fatalf("no violation, but %v", err)
			}
			if !strings.Contains(err.Error(), test.complain) {
				t.Fatalf("complains %q, not %q", err, test.complain)
			}
		})
	}
}

// onRead changes every getData answer, on its way out, that is long enough to have data.
func onRead(change func(answer []byte)) func(*fakeConn, proto.Op, []byte) [][]byte {
	return func(_ *fakeConn, op proto.Op, answer []byte) [][]byte {
		if op == proto.OpGetData && len(answer) > dataAt+statBytes {
			change(answer)
		}
		return [][]byte{answer}
	}
}

// watchedPath is the only znode that is watched.
func watchedPath(f *fake) string {
	for path := range f.watches {
		return path
	}
	return ""
}

// failedMulti is what a server answers to a multi whose second part fails.
func failedMulti(answer []byte) []byte {
	var h proto.ReplyHeader
	h.Xid = int32(binary.BigEndian.Uint32(answer[4:]))
	h.Zxid = proto.Zxid(binary.BigEndian.Uint64(answer[8:]))
	fields := []func(*jute.Coder){h.Fields}
	for _, code := range []int32{0, int32(proto.ErrBadVersion),
		int32(proto.ErrRuntimeInconsistency)} {
		part := proto.MultiHeader{Op: proto.OpError, Err: proto.Code(code)}
		fields = append(fields, part.Fields, func(c *jute.Coder) { c.Int(&code) })
	}
	end := proto.MultiEnd
	return encode(append(fields, end.Fields)...)
}

// A server that dies in the middle of a run is named, and what was measured is reported.
func TestServerDies(t *testing.T) {
	f := startFake(t)
	f.hangUp = func(c *fakeConn, _ proto.Op) bool { return c.n > 200 }
	cfg := small(f)
	cfg.Duration = 10 * time.Second
	rep, err := Run(t.Context(), cfg)
	if err == nil || errors.Is(err, ErrViolation) || !strings.Contains(err.Error(), f.addr) ||
		!strings.Contains(err.Error(), "is the server still running?") {
		t.Fatalf("the error is %v", err)
	}
	if rep == nil || rep.Ops == 0 {
		t.Errorf("nothing is reported: %+v", rep)
	}
}

// A server that stops answering is given up on after the session timeout.
func TestServerHangs(t *testing.T) {
	f := startFake(t)
	f.mangle = func(c *fakeConn, _ proto.Op, answer []byte) [][]byte {
		if c.n > 100 {
			return nil
		}
		return [][]byte{answer}
	}
	cfg := small(f)
	cfg.Duration, cfg.Timeout = time.Minute, time.Second
	_, err := Run(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "no reply for 1s") {
		t.Fatalf("the error is %v", err)
	}
}

// Errors that break no promise are counted by code, and fail the run at its end.
func TestErrorsAreCounted(t *testing.T) {
	f := startFake(t)
	f.fail = func(c *fakeConn, op proto.Op) proto.Code {
		if op == proto.OpSetData && c.n%10 == 0 {
			return proto.ErrThrottledOp
		}
		return proto.OK
	}
	rep, err := Run(t.Context(), small(f))
	if !errors.Is(err, ErrFailed) || rep.Errors["THROTTLEDOP"] == 0 {
		t.Fatalf("the error is %v, counted are %v", err, rep.Errors)
	}
	if paths, _ := f.left(); len(paths) > 0 {
		t.Errorf("left behind: %v", paths)
	}
}

// A run that is interrupted, at whatever time, cleans up behind itself.
func TestCancel(t *testing.T) {
	for _, at := range []proto.Op{proto.OpCreate, proto.OpMulti, proto.OpGetData} {
		t.Run(at.String(), func(t *testing.T) {
			f := startFake(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f.fail = func(_ *fakeConn, op proto.Op) proto.Code {
				if op == at {
					cancel()
				}
				return proto.OK
			}
			cfg := small(f)
			cfg.Duration, cfg.Znodes = time.Minute, 5000
			if _, err := Run(ctx, cfg); !errors.Is(err, context.Canceled) {
				t.Fatalf("the error is %v", err)
			}
			if paths, _ := f.left(); len(paths) > 0 {
				t.Errorf("left behind: %v", paths)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := small(&fake{addr: l.Addr().String()})
	l.Close() // so that nobody listens there
	_, err = Run(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), cfg.Servers[0]+" refuses connections") {
		t.Fatalf("the error is %v", err)
	}
}

func TestNoSession(t *testing.T) {
	f := startFake(t)
	f.hangUp = func(*fakeConn, proto.Op) bool { return true }
	_, err := Run(t.Context(), small(f))
	if err == nil || !strings.Contains(err.Error(), "maxClientCnxns") {
		t.Fatalf("the error is %v", err)
	}
}

func TestConfigCheck(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no server":           func(c *Config) { c.Servers = nil },
		"unknown workload":    func(c *Config) { c.Workload = "nonsense" },
		"no connections":      func(c *Config) { c.Connections = 0 },
		"nothing in flight":   func(c *Config) { c.InFlight = 0 },
		"batch over flight":   func(c *Config) { c.Batch = c.InFlight + 1 },
		"read share":          func(c *Config) { c.Read = 1.5 },
		"verified share":      func(c *Config) { c.Verify = -1 },
		"size":                func(c *Config) { c.Size = DataBytesMax + 1 },
		"size in a multi":     func(c *Config) { c.Workload, c.Size = Multi, DataBytesMax },
		"znodes":              func(c *Config) { c.Znodes = 0 },
		"duration":            func(c *Config) { c.Duration = 0 },
		"threads":             func(c *Config) { c.Threads = c.Connections + 1 },
		"session timeout":     func(c *Config) { c.Timeout = 0 },
		"threads in fanout":   func(c *Config) { c.Workload, c.Threads = Fanout, 2 },
		"rate of fanout":      func(c *Config) { c.Workload, c.Rate = Fanout, 1 },
		"process of no one":   func(c *Config) { c.PIDs = []int{-7} },
		"host without a port": func(c *Config) { c.Servers = []string{"localhost"} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			change(&cfg)
			if _, err := Run(t.Context(), cfg); err == nil {
				t.Error("no error")
			}
		})
	}
}
