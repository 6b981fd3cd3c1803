package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Commands that hand out all data, replace it, or turn clients away. Who asks must say who they
// are, in the header Authorization, and have all permissions on the root znode. That znode is
// open to everyone until somebody sets its ACL.

const (
	// A body of shed_connections is one number.
	shedBytesMax = 4 << 10
	// How much of a stream is handed to the connection at once.
	streamBytes = 64 << 10
)

// An operator is who asks for a guarded command, and may.
type operator struct {
	*desk
	w http.ResponseWriter
	r *http.Request
}

// deny tells why a caller may not have a guarded command; its status is 0 if they may
// (Commands.handleAuthentication, handleAuthorization).
//
//	Authorization: digest user:password     401 without a password; a wrong one is nobody's: 403
//	Authorization: ip                       the caller's address
//	Authorization: x509                     401: there is no TLS on this port
func (d *desk) deny(r *http.Request) answer {
	header := r.Header.Values("Authorization")
	if len(header) == 0 {
		return answer{status: http.StatusUnauthorized,
			failed: "Auth info is missing for the command"}
	}
	nobody := answer{status: http.StatusUnauthorized, failed: "Not authenticated"}
	// As Java splits it: empty parts count, but for those at the end.
	parts := strings.Split(strings.TrimRight(header[0], " "), " ")
	if len(parts) > 2 {
		return nobody
	}
	var credentials []byte
	if len(parts) == 2 {
		credentials = []byte(parts[1])
	}
	from, ok := caller(r, d.source.Guard().Forwarded)
	if !ok {
		return nobody
	}
	ids := d.source.Identify(parts[0], credentials, from)
	if len(ids) == 0 {
		return nobody
	}
	if !d.source.MayAll(ids) {
		return answer{status: http.StatusForbidden, failed: "Not authorized"}
	}
	return answer{}
}

// caller is the address that a request comes from: behind a proxy, the last that the header
// X-Forwarded-For names (IPAuthenticationProvider.getClientIPAddress). One that is no address is
// nobody's; to Java it is somebody's.
func caller(r *http.Request, forwarded bool) (netip.Addr, bool) {
	if all := r.Header.Values("X-Forwarded-For"); forwarded && len(all) > 0 {
		list := strings.Split(all[len(all)-1], ",")
		addr, err := netip.ParseAddr(strings.TrimSpace(list[len(list)-1]))
		return addr, err == nil
	}
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	return addr.Addr(), err == nil
}

// A limiter keeps a command from being asked for too often. What failed does not count, so that
// who sent half a body need not wait.
type limiter struct {
	mu   sync.Mutex
	last time.Time // when the last one that counts began
	busy bool
}

func (l *limiter) begin(every time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if every > 0 && (l.busy || !l.last.IsZero() && time.Since(l.last) < every) {
		return false
	}
	l.busy = true
	return true
}

func (l *limiter) end(began time.Time, counts bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
	if counts {
		l.last = began
	}
}

func disabled(key string) answer {
	return answer{status: http.StatusServiceUnavailable, failed: key + " is false"}
}

func limited(every time.Duration) answer {
	return answer{status: http.StatusTooManyRequests, failed: fmt.Sprintf(
		"at most once in %v: admin.rateLimiterIntervalInMS", every)}
}

// snapshot has a snapshot written into the data directory, and sends it unless told not to
// (Commands.SnapshotCommand). Its zxid and size are in the header.
func snapshot(o *operator) answer {
	g := o.source.Guard()
	if !g.Snapshot {
		return disabled("admin.snapshot.enabled")
	}
	began := time.Now()
	if !o.snapshots.begin(g.Interval) {
		o.source.Limited(false)
		return limited(g.Interval)
	}
	q := o.r.URL.Query()
	stream := !q.Has("streaming") || strings.EqualFold(q.Get("streaming"), "true")
	taken, err := o.source.Snapshot(stream)
	o.snapshots.end(began, err == nil)
	if err != nil {
		return answer{status: http.StatusInternalServerError, failed: err.Error()}
	}
	h, size := o.w.Header(), strconv.FormatInt(taken.Bytes, 10)
	for name, value := range map[string]string{"snapshot_size": size,
		"last_zxid": fmt.Sprintf("0x%x", uint64(taken.Zxid))} {
		h[name] = []string{value} // spelled as Java does: scripts look for it
	}
	if taken.Stream == nil {
		return answer{}
	}
	defer taken.Stream.Close() // it was read
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", size)
	h.Set("Connection", "close") // its deadline stays, for what is still on its way
	// A failure shows as a stream that is too short; there is no other way to tell.
	_, _ = io.CopyBuffer(&patient{w: o.w, control: http.NewResponseController(o.w),
		idle: idleOf(o.r)}, struct{ io.Reader }{taken.Stream}, make([]byte, streamBytes))
	return answer{sent: true}
}

// restore puts the snapshot that is the body in the place of all data (Commands.RestoreCommand).
// A body that is none has status 400, where Java answers 500.
func restore(o *operator) answer {
	g := o.source.Guard()
	if !g.Restore {
		return disabled("admin.restore.enabled")
	}
	began := time.Now()
	if !o.restores.begin(g.Interval) {
		o.source.Limited(true)
		return limited(g.Interval)
	}
	body := &patient{r: o.r.Body, control: http.NewResponseController(o.w), idle: idleOf(o.r)}
	zxid, err := o.source.Restore(body)
	// What it has not read of the body is waited for before the answer leaves.
	_ = body.control.SetReadDeadline(time.Now().Add(requestTimeout)) // a connection has deadlines
	o.restores.end(began, err == nil)
	switch {
	case errors.Is(err, ErrBody):
		return answer{status: http.StatusBadRequest, failed: err.Error()}
	case err != nil:
		return answer{status: http.StatusInternalServerError, failed: err.Error()}
	}
	return answer{fields: Fields{{"last_zxid", int64(zxid)}}}
}

// shed closes the connections of about so many percent of the clients, so that they go to other
// servers (Commands.ShedConnectionsCommand). Java takes what is no number for 0.
func shed(o *operator) answer {
	bad := func(why string) answer { return answer{status: http.StatusBadRequest, failed: why} }
	var body any
	err := json.NewDecoder(io.LimitReader(o.r.Body, shedBytesMax)).Decode(&body)
	if err != nil && err != io.EOF {
		return bad("Invalid JSON or failed to read request body: " + err.Error())
	}
	fields, _ := body.(map[string]any)
	value, has := fields["percentage"]
	if !has {
		return bad("Missing required field: percentage")
	}
	percent, isNumber := value.(float64)
	if !isNumber || percent != float64(int(percent)) || percent < 0 || percent > 100 {
		return bad("Percentage must be between 0 and 100")
	}
	return answer{fields: Fields{{"connections_shed", o.source.Shed(int(percent))},
		{"percentage_requested", int(percent)}}}
}

// idleOf is how long a connection of the server may stand still.
func idleOf(r *http.Request) time.Duration {
	s, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if s == nil {
		return 0
	}
	return s.IdleTimeout
}

// A patient reads or writes as long as there is progress.
type patient struct {
	r       io.Reader
	w       io.Writer
	control *http.ResponseController
	idle    time.Duration // 0: for ever
}

func (p *patient) Read(b []byte) (int, error) {
	until := time.Time{}
	if p.idle > 0 {
		until = time.Now().Add(p.idle)
	}
	_ = p.control.SetReadDeadline(until) // a connection has deadlines
	defer func() { _ = p.control.SetReadDeadline(time.Time{}) }()
	return p.r.Read(b)
}

func (p *patient) Write(b []byte) (int, error) {
	if p.idle > 0 {
		_ = p.control.SetWriteDeadline(time.Now().Add(p.idle)) // as above
	}
	return p.w.Write(b)
}
