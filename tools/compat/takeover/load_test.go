package takeover

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/meerkat-zk/meerkat/proto"
)

const openACL = "31:world:anyone "

// inFlight is how many requests a connection keeps on the way.
const inFlight = 64

// A writer is a client that writes below a path of its own and keeps a model of it.
//
//	/w<i>           its root; half of them have a quota
//	/w<i>/d<j>      folders that stay, with leaves n<k> that come and go, of every kind but
//	                containers (those go by themselves, which no model knows)
//	/w<i>/h<j>      hot folders: removed with their leaves and made again, all the time
//	/w<i>/q         sequential znodes
type writer struct {
	client
	model
	random *rand.Rand
	dirs   int
	leaves int // of each folder

	wildACLs bool

	pending []op
	waiting []string      // sequential znodes that may be deleted
	acked   *atomic.Int64 // of all writers
}

func newWriter(i, znodes int, seed uint64) *writer {
	const leaves = 100
	w := &writer{client: client{timeoutMs: 300_000}, random: rand.New(rand.NewPCG(seed, uint64(i))),
		dirs: max(1, znodes/leaves), leaves: leaves}
	w.model = *newModel(fmt.Sprintf("/w%d", i), 0)
	return w
}

// attach takes up the session; it is an error when a server does not know it.
func (w *writer) attach(addr string) error {
	timeoutMs := w.timeoutMs
	if err := w.connect(addr); err != nil {
		return err
	}
	if w.timeoutMs != timeoutMs {
		return fmt.Errorf("the session came back with a timeout of %d", w.timeoutMs)
	}
	w.session = w.client.id
	return nil
}

// populate makes the root and everything below it.
func (w *writer) populate() error {
	zero := w.nodes
	zero["/"] = &znode{} // for the root's sake
	w.do(op{op: proto.OpCreate, path: w.root, acl: openACL})
	w.do(op{op: proto.OpCreate, path: w.root + "/q", acl: openACL})
	for d := range w.dirs {
		dir := fmt.Sprintf("%s/d%d", w.root, d)
		w.do(op{op: proto.OpCreate, path: dir, acl: openACL})
		for l := range w.leaves {
			w.do(w.create(fmt.Sprintf("%s/n%d", dir, l)))
			if err := w.pump(inFlight); err != nil {
				return err
			}
		}
	}
	err := w.pump(0)
	delete(zero, "/")
	return err
}

// do sends an operation.
func (w *writer) do(o op) {
	w.send(o.op, o.records()...)
	w.pending = append(w.pending, o)
}

// pump writes what was sent and reads replies until no more than left are due. The model must
// have foreseen each of them.
func (w *writer) pump(left int) error {
	if w.in <= left {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	for w.in > left/2 {
		h, body, err := w.reply()
		o := &w.pending[0]
		if err != nil {
			return fmt.Errorf("%v %s: %w", o.op, o.path, err)
		}
		got := h.Err
		if o.op == proto.OpMulti && got == proto.OK {
			var first proto.MultiHeader
			if first.Fields(&body); first.Op == proto.OpError {
				got = proto.ErrRuntimeInconsistency
			}
		}
		want := w.apply(o, h.Zxid)
		if o.op == proto.OpMulti && want != proto.OK && got != proto.OK {
			got = want
		}
		if got != want {
			return &surpriseError{fmt.Errorf("%v %s: %v, not %v", o.op, o.path, got, want)}
		}
		if o.flags == flagSequential && got == proto.OK {
			w.waiting = append(w.waiting, w.undo[0].path)
		}
		w.pending = w.pending[1:]
		w.acked.Add(1)
	}
	return nil
}

// A surpriseError is a wrong answer, not a broken connection.
type surpriseError struct{ error }

// load writes until the connection breaks.
func (w *writer) load() error {
	for {
		w.step()
		if err := w.pump(inFlight); err != nil {
			return err
		}
	}
}

// step sends one or a few operations.
func (w *writer) step() {
	switch n := w.random.IntN(100); {
	case n < 80:
		w.do(w.simple(proto.OpSetACL))
	case n < 90:
		parts := make([]op, 2+w.random.IntN(5))
		for i := range parts {
			parts[i] = w.simple(proto.OpCheck)
		}
		w.do(op{op: proto.OpMulti, parts: parts})
	case n < 93:
		w.sequential()
	default:
		w.rebuild()
	}
}

func (w *writer) leaf() string {
	return fmt.Sprintf("%s/d%d/n%d", w.root, w.random.IntN(w.dirs), w.random.IntN(w.leaves))
}

// simple is an operation on one znode. The rare one is setACL, which no multi takes, or check,
// which is for multis alone (MultiOperationRecord).
func (w *writer) simple(rare proto.Op) op {
	path := w.leaf()
	version := int32(-1)
	if w.random.IntN(5) == 0 {
		version = w.random.Int32N(3)
	}
	switch n := w.random.IntN(100); {
	case n < 35:
		return w.create(path)
	case n < 40: // a child of a leaf
		return w.create(path + "/x")
	case n < 45:
		return op{op: proto.OpDelete, path: path + "/x", version: -1}
	case n < 65:
		return op{op: proto.OpDelete, path: path, version: version}
	case n < 88:
		return op{op: proto.OpSetData, path: path, data: w.data(), version: version}
	default:
		return op{op: rare, path: path, acl: w.acl(), version: version}
	}
}

// create makes a znode of any kind that stays until it is deleted.
func (w *writer) create(path string) op {
	o := op{op: proto.OpCreate, path: path, data: w.data(), acl: w.acl()}
	switch w.random.IntN(6) {
	case 0:
		o.op = proto.OpCreate2
	case 1:
		o.op, o.flags, o.ttl = proto.OpCreateTTL, flagTTL, 86_400_000
	case 2:
		o.flags = flagEphemeral
	case 3:
		o.op, o.flags = proto.OpCreate2, flagEphemeral
	}
	return o
}

func (w *writer) data() string {
	b := make([]byte, w.random.IntN(200))
	for i := range b {
		b[i] = byte(w.random.Uint32())
	}
	return string(b)
}

// pinnedACL is one of some lists that a znode below /pins keeps in use.
func pinnedACL(n int) string {
	return fmt.Sprintf("31:digest:user%d:hash 1:world:anyone ", n)
}

const pinnedACLs = 20

// acl is an open, a pinned, or with wild ACLs one that is new and that few znodes get: then the
// table of lists changes all the time, also while Java writes a snapshot.
func (w *writer) acl() string {
	switch w.random.IntN(5) {
	case 0:
		return pinnedACL(w.random.IntN(pinnedACLs))
	case 1:
		if w.wildACLs {
			age := w.acked.Load()/200*4 + w.random.Int64N(4)
			return fmt.Sprintf("31:digest:user%d:hash 1:ip:10.0.0.1 ", age)
		}
	}
	return openACL
}

func (w *writer) sequential() {
	if len(w.waiting) > 50 {
		i := w.random.IntN(len(w.waiting))
		w.do(op{op: proto.OpDelete, path: w.waiting[i], version: -1})
		w.waiting = slices.Delete(w.waiting, i, i+1)
		return
	}
	w.do(op{op: proto.OpCreate, path: w.root + "/q/s", data: w.data(), acl: w.acl(),
		flags: flagSequential})
}

// rebuild removes a hot folder with all that is in it and makes it again with other leaves, as
// one multi or not.
func (w *writer) rebuild() {
	dir := fmt.Sprintf("%s/h%d", w.root, w.random.IntN(5))
	multi := w.random.IntN(2) == 0
	var list []op
	for leaf := 'a'; leaf <= 'f'; leaf++ {
		path := fmt.Sprintf("%s/%c", dir, leaf)
		if !multi || w.nodes[path] != nil {
			list = append(list, op{op: proto.OpDelete, path: path, version: -1})
		}
	}
	list = append(list, op{op: proto.OpDelete, path: dir, version: -1},
		op{op: proto.OpCreate2, path: dir, data: w.data(), acl: w.acl()})
	for range w.random.IntN(5) {
		list = append(list, w.create(fmt.Sprintf("%s/%c", dir, 'a'+w.random.IntN(6))))
	}
	if multi {
		w.do(op{op: proto.OpMulti, parts: list})
		return
	}
	for i := range list {
		w.do(list[i])
	}
	w.do(op{op: proto.OpSetData, path: dir, data: w.data(), version: -1})
}

// A chaos worker makes what no model foresees: sessions that come and go, end or expire and
// fight over the same ephemerals, containers and TTL znodes that the server removes, quotas.
type chaos struct {
	random *rand.Rand
	kept   []*client // sessions left open, with what they own
}

const chaosRoot = "/chaos"

// load runs sessions until the server is gone.
func (k *chaos) load(addr string) error {
	for {
		c := &client{timeoutMs: []int32{1000, 60_000, 120_000}[k.random.IntN(3)]}
		if err := c.connect(addr); err != nil {
			return err
		}
		if err := k.session(c); err != nil {
			c.hangUp()
			return err
		}
	}
}

func (k *chaos) session(c *client) error {
	for range 20 + k.random.IntN(100) {
		for range 8 {
			k.send(c)
		}
		if err := c.flush(); err != nil {
			return err
		}
		for c.in > 0 {
			if _, _, err := c.reply(); err != nil { // any code will do
				return err
			}
		}
	}
	switch {
	case k.random.IntN(10) == 0 && len(k.kept) < 20 && c.timeoutMs > 1000:
		k.kept = append(k.kept, c)
		return nil
	case k.random.IntN(3) == 0:
		c.hangUp() // it will expire
		return nil
	}
	_, err := c.call(proto.OpCloseSession)
	c.hangUp()
	return err
}

func (k *chaos) send(c *client) {
	n := k.random.IntN(30)
	var o op
	switch k.random.IntN(12) {
	case 0, 1, 2, 3:
		o = op{op: []proto.Op{proto.OpCreate, proto.OpCreate2}[k.random.IntN(2)],
			path: fmt.Sprintf("%s/e/%d", chaosRoot, n), flags: flagEphemeral}
	case 4:
		o = op{op: proto.OpDelete, path: fmt.Sprintf("%s/e/%d", chaosRoot, n), version: -1}
	case 5:
		o = op{op: proto.OpCreateContainer, path: fmt.Sprintf("%s/c/%d", chaosRoot, n),
			flags: flagContainer}
	case 6:
		o = op{op: proto.OpCreate, path: fmt.Sprintf("%s/c/%d/x", chaosRoot, n)}
	case 7, 8:
		o = op{op: proto.OpDelete, path: fmt.Sprintf("%s/c/%d/x", chaosRoot, n), version: -1}
	case 9:
		o = op{op: proto.OpCreateTTL, path: fmt.Sprintf("%s/t/%d", chaosRoot, n), flags: flagTTL,
			ttl: 1 + k.random.Int64N(300)}
	case 10:
		o = op{op: proto.OpCreate, path: fmt.Sprintf("%s/q/%d", chaosRoot, n%8),
			data: fmt.Sprint(n)}
	default:
		k.quota(c, fmt.Sprintf("%s/q/%d", chaosRoot, n%8))
		return
	}
	o.acl = openACL
	c.send(o.op, o.records()...)
}

// quota makes or removes a quota, as zkCli.sh does, and its znode with it.
func (k *chaos) quota(c *client, path string) {
	at := "/zookeeper/quota" + path
	list := []op{{op: proto.OpDelete, path: at + "/zookeeper_limits", version: -1},
		{op: proto.OpDelete, path: at + "/zookeeper_stats", version: -1},
		{op: proto.OpDelete, path: at, version: -1},
		{op: proto.OpDelete, path: path, version: -1}}
	if k.random.IntN(2) == 0 {
		list = quotaOps(path)
	}
	for i := range list {
		c.send(list[i].op, list[i].records()...)
	}
}

// quotaOps set a wide quota (SetQuotaCommand).
func quotaOps(path string) []op {
	at := "/zookeeper/quota" + path
	return []op{
		{op: proto.OpCreate, path: at, acl: openACL},
		{op: proto.OpCreate, path: at + "/zookeeper_limits", acl: openACL,
			data: "count=1000000,bytes=1000000000"},
		{op: proto.OpCreate, path: at + "/zookeeper_stats", acl: openACL,
			data: "count=0,bytes=0"},
	}
}

// A crowd is all clients of a takeover.
type crowd struct {
	writers  []*writer
	chaos    []*chaos
	restless sync.WaitGroup // of chaos
	acked    atomic.Int64
}

func newCrowd(writers, znodes int, wildACLs bool, seed uint64) *crowd {
	c := &crowd{}
	for i := range writers {
		w := newWriter(i, znodes/writers, seed)
		w.wildACLs, w.acked = wildACLs, &c.acked
		c.writers = append(c.writers, w)
	}
	for i := range 2 {
		c.chaos = append(c.chaos, &chaos{random: rand.New(rand.NewPCG(seed, uint64(1000+i)))})
	}
	return c
}

// populate makes all znodes that the load needs.
func (c *crowd) populate(addr string) error {
	setup := &client{timeoutMs: 300_000}
	if err := setup.connect(addr); err != nil {
		return err
	}
	list := []op{{op: proto.OpCreate, path: "/zookeeper/quota" + chaosRoot, acl: openACL},
		{op: proto.OpCreate, path: "/zookeeper/quota" + chaosRoot + "/q", acl: openACL}}
	for _, name := range []string{"", "/e", "/c", "/t", "/q"} {
		list = append(list, op{op: proto.OpCreate, path: chaosRoot + name, acl: openACL})
	}
	list = append(list, op{op: proto.OpCreate, path: "/pins", acl: openACL})
	for i := range pinnedACLs {
		list = append(list, op{op: proto.OpCreate, path: fmt.Sprintf("/pins/%d", i),
			acl: pinnedACL(i)})
	}
	for i := 0; i < len(c.writers); i += 2 {
		list = append(list, quotaOps(c.writers[i].root)...)
	}
	for i := range list {
		if _, err := setup.call(list[i].op, list[i].records()...); err != nil {
			return fmt.Errorf("%s: %w", list[i].path, err)
		}
	}
	_, err := setup.call(proto.OpCloseSession)
	setup.hangUp()
	return errors.Join(err, c.attach(addr), c.each((*writer).populate))
}

func (c *crowd) attach(addr string) error {
	return c.each(func(w *writer) error { return w.attach(addr) })
}

// each runs a function for all writers at once.
func (c *crowd) each(do func(*writer) error) error {
	failed := make([]error, len(c.writers))
	var group sync.WaitGroup
	for i, w := range c.writers {
		group.Go(func() {
			if failed[i] = do(w); failed[i] != nil {
				failed[i] = fmt.Errorf("%s: %w", w.root, failed[i])
				for _, other := range c.writers {
					other.hangUp() // one that fails ends the run
				}
			}
		})
	}
	group.Wait()
	return errors.Join(failed...)
}

// run loads a server that writers are attached to until it is killed. The channel gives, once,
// why the writers ended.
func (c *crowd) run(addr string) <-chan error {
	for _, k := range c.chaos {
		c.restless.Go(func() { _ = k.load(addr) }) // it ends by an error, whatever it is
	}
	ended := make(chan error, 1)
	go func() {
		ended <- c.each((*writer).load)
	}()
	return ended
}
