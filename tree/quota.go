package tree

import (
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

// The znodes of a quota on /a: /zookeeper/quota/a/zookeeper_limits and …/zookeeper_stats
// (Quotas). The limits are a client's; the usage is kept by every server for itself, outside
// of any transaction.
const (
	limitsName = "zookeeper_limits"
	statsName  = "zookeeper_stats"
)

// A Quota is the limits and the usage of a subtree; -1 where none is set.
type Quota struct {
	Path                 string
	Count, Bytes         int64 // soft limits
	HardCount, HardBytes int64
	UsedCount, UsedBytes int64
}

// Quota returns the quota that counts for a path: the one with the longest prefix. It is false
// when there is none, or when it lacks its znode of limits or usage.
func (v *View) Quota(path string) (q Quota, ok bool) {
	prefix, ok := v.quotaPrefix(path)
	if !ok {
		return Quota{}, false
	}
	return v.quotaAt(prefix)
}

// Quotas visits all quotas by path.
func (v *View) Quotas(visit func(Quota) bool) {
	v.quotas.live.Scan(func(path string) bool {
		q, ok := v.quotaAt(path)
		return !ok || visit(q)
	})
}

func (v *View) quotaAt(path string) (Quota, bool) {
	limits := v.Get(quotaPath + path + "/" + limitsName)
	stats := v.Get(quotaPath + path + "/" + statsName)
	if limits == nil || stats == nil {
		return Quota{}, false
	}
	l, u := parseTrack(limits.Data()), parseTrack(stats.Data())
	return Quota{
		Path:  path,
		Count: l.get("count"), Bytes: l.get("bytes"),
		HardCount: l.get("countHardLimit"), HardBytes: l.get("byteHardLimit"),
		UsedCount: u.get("count"), UsedBytes: u.get("bytes"),
	}, true
}

// quotaPrefix finds the longest path with a quota that is path or above it. The greatest
// quota not above path in order is it, or shares with path whatever the answer can be.
func (v *View) quotaPrefix(path string) (string, bool) {
	for v.quotas.live.Len() > 0 {
		found := ""
		v.quotas.live.Descend(path, func(q string) bool {
			found = q
			return false
		})
		n := sharedBytes(found, path)
		switch {
		case n == 0:
			return "", false
		case n == len(found) && (n == len(path) || path[n] == '/'):
			return found, true
		case n == len(path) || path[n] != '/':
			n = strings.LastIndexByte(path[:n], '/') // the last whole component
		}
		if n <= 0 {
			return "", false
		}
		path = path[:n]
	}
	return "", false
}

func sharedBytes(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// splitQuota cuts the path of a znode of a quota in the path that the quota is on and the
// znode's name. The root cannot have one.
func splitQuota(path string) (quota, name string) {
	if len(path) <= len(quotaPath) || path[:len(quotaPath)] != quotaPath ||
		path[len(quotaPath)] != '/' {
		return "", ""
	}
	i := strings.LastIndexByte(path, '/')
	if i == len(quotaPath) {
		return "", ""
	}
	return path[len(quotaPath):i], path[i+1:]
}

// charge adds to the usage of the quota that path is under (DataTree.updateQuotaStat).
func (h *Head) charge(path string, bytes, count int64) {
	if h.quotas.live.Len() == 0 {
		return
	}
	prefix, ok := h.quotaPrefix(path)
	if !ok {
		return
	}
	if n := h.Get(quotaPath + prefix + "/" + statsName); n != nil {
		t := parseTrack(n.Data())
		t.set("count", t.get("count")+count)
		t.set("bytes", t.get("bytes")+bytes)
		h.replace(n, n.withData(t.text()), nil)
	}
}

// recount sets the usage of a quota from the subtree (DataTree.updateQuotaForPath).
func (h *Head) recount(path string) {
	n := h.Get(quotaPath + path + "/" + statsName)
	if n == nil {
		return
	}
	var count, bytes int64
	if top := h.Get(path); top != nil {
		h.walk(top, func(n *Node) bool {
			count++
			bytes += int64(n.dataBytes())
			return true
		})
	}
	var t track
	t.set("count", count)
	t.set("bytes", bytes)
	h.replace(n, n.withData(t.text()), nil)
}

// A track is the text of limits or usage (StatsTrack): key=value pairs between runs of
// "," or ";".
//
//	count=4,bytes=5
//	count=4,bytes=5=;byteHardLimit=10;countHardLimit=10
type track []trackPair

type trackPair struct {
	key   string
	value int64
}

// trackBytesMax is the longest text that is read as a track; a longer one sets nothing. It is a
// client's, and read again for every change below the quota.
const trackBytesMax = 1 << 10

// parseTrack reads a track. Where Java throws on a malformed value, and dies of it when the
// text is the usage, it reads as -1: not set.
func parseTrack(data []byte) track {
	var t track
	if len(data) > trackBytesMax {
		return t
	}
	separator := func(r rune) bool { return r == ',' || r == ';' }
	for pair := range strings.FieldsFuncSeq(unsafe.String(unsafe.SliceData(data), len(data)),
		separator) {
		key, rest, _ := strings.Cut(pair, "=")
		text, _, _ := strings.Cut(rest, "=")
		value, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			value = -1
		}
		t.set(key, value)
	}
	return t
}

func (t track) get(key string) int64 {
	for _, p := range t {
		if p.key == key {
			return p.value
		}
	}
	return -1
}

func (t *track) set(key string, value int64) {
	for i := range *t {
		if (*t)[i].key == key {
			(*t)[i].value = value
			return
		}
	}
	*t = append(*t, trackPair{key, value})
}

// text writes a track: count and bytes first, a "=" that made older parsers stop before the
// keys that they did not know, then those in order.
func (t track) text() []byte {
	b := append([]byte("count="), strconv.FormatInt(t.get("count"), 10)...)
	b = strconv.AppendInt(append(b, ",bytes="...), t.get("bytes"), 10)
	rest := slices.DeleteFunc(slices.Clone(t), func(p trackPair) bool {
		return p.key == "count" || p.key == "bytes"
	})
	slices.SortFunc(rest, func(a, b trackPair) int { return strings.Compare(a.key, b.key) })
	if len(rest) > 0 {
		b = append(b, '=')
	}
	for _, p := range rest {
		b = append(append(append(b, ';'), p.key...), '=')
		b = strconv.AppendInt(b, p.value, 10)
	}
	return b
}

// Namespace is the first part of a path, by which quotas are shown (PathUtils.getTopNamespace).
func Namespace(path string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return name
}
