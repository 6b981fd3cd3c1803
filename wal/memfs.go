package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A MemFS is a file system in memory that can lose what was not synced and fail on demand, for
// crash tests here and of the whole server. It is safe for concurrent use.
//
// It keeps two states of everything: what programs see, and what a power cut is sure to leave.
// SyncData moves a file's content from the first to the second, SyncDir a directory's names.
// Neither does the other's work, which is stricter than common disks are.
type MemFS struct {
	mu    sync.Mutex
	root  *memNode
	locks map[string]bool
	fail  func(Op) error
	ops   int
	room  int64 // bytes that can still be written; negative: no limit
}

// An Op is one change that is about to happen to a MemFS.
type Op struct {
	N     int    // its number, from 1
	Kind  string // create, write, sync, preallocate, truncate, rename, remove, mkdir, syncdir, lock
	Name  string
	Bytes int // of a write
}

// A memNode is a file or a directory.
type memNode struct {
	file  memContent
	saved memContent // what a power cut leaves of file
	dirty byteRange  // where they may differ
	taken int64      // up to here it takes room: the rest is a hole

	names      map[string]*memNode // of a directory, else nil
	savedNames map[string]*memNode
	pending    []memChange // what turns savedNames into names, in order
	modTime    time.Time
}

type byteRange struct{ from, to int64 }

func (r *byteRange) add(from, to int64) {
	if r.from == r.to {
		*r = byteRange{from, to}
		return
	}
	*r = byteRange{min(r.from, from), max(r.to, to)}
}

// A memContent is data followed by zeros up to size.
type memContent struct {
	data []byte
	size int64
}

// A memChange gives a name to a node, nil for none; a rename also takes the old name away.
type memChange struct {
	name, old string
	node      *memNode
	move      *memMove // nil: it concerns this directory alone
}

// A memMove is a rename from one directory into another: two changes, of which a power cut
// leaves both or neither, as the journals of common file systems see to.
type memMove struct{ synced bool } // with one of the directories

// NewMemFS returns an empty file system.
func NewMemFS() *MemFS {
	return &MemFS{root: newMemDir(), locks: map[string]bool{}, room: -1}
}

func newMemDir() *memNode {
	return &memNode{names: map[string]*memNode{}, savedNames: map[string]*memNode{}}
}

// Inject makes fail decide about every change before it happens: an error is what the caller
// gets, and nothing changes. It is called with a lock held and must not use the MemFS.
func (m *MemFS) Inject(fail func(Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

// Ops is the number of changes so far, failed ones included.
func (m *MemFS) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// Limit makes the disk full after so many more bytes: ENOSPC. A negative limit is none.
// Overwriting takes no room; removing and truncating a file gives its room back.
func (m *MemFS) Limit(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.room = bytes
}

// CrashClone returns what a power cut now could leave: all that was synced, and of the rest
// any subset that rng picks: sectors of 512 bytes of unsynced writes, a size on the way, some
// of the changes of names. Nobody holds a lock in it.
func (m *MemFS) CrashClone(rng *rand.Rand) *MemFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMemFS()
	left := crash{rng, map[*memNode]*memNode{}, map[*memMove]bool{}}
	c.root = left.of(m.root)
	return c
}

// How much of a set of unsynced changes a power cut leaves.
const (
	keepNone = iota
	keepAll
	keepPrefix
	keepSome
	keepKinds
)

// A crash makes copies of what a power cut leaves.
type crash struct {
	rng   *rand.Rand
	done  map[*memNode]*memNode
	moves map[*memMove]bool // whether they are kept
}

func (x *crash) of(n *memNode) *memNode {
	if c, ok := x.done[n]; ok {
		return c // a file that has two names on disk, amid a rename
	}
	c := &memNode{modTime: n.modTime}
	x.done[n] = c
	if n.names == nil {
		c.saved = crashContent(&n.saved, &n.file, x.rng)
		c.file = c.saved.clone()
		c.taken = c.file.size
		return c
	}
	left := map[string]*memNode{}
	for name, node := range n.savedNames {
		left[name] = node
	}
	kind, prefix := x.rng.IntN(keepKinds), x.rng.IntN(len(n.pending)+1)
	for i, ch := range n.pending {
		if x.keepsChange(ch, keeps(kind, i, prefix, x.rng)) {
			ch.apply(left)
		}
	}
	c.names, c.savedNames = map[string]*memNode{}, map[string]*memNode{}
	for _, name := range sortedNames(left) {
		node := x.of(left[name])
		c.names[name], c.savedNames[name] = node, node
	}
	return c
}

// keepsChange is kept, unless the other half of a move has decided.
func (x *crash) keepsChange(ch memChange, kept bool) bool {
	if ch.move == nil {
		return kept
	}
	if before, decided := x.moves[ch.move]; decided {
		return before
	}
	x.moves[ch.move] = kept || ch.move.synced
	return x.moves[ch.move]
}

func keeps(kind, i, prefix int, rng *rand.Rand) bool {
	switch kind {
	case keepNone:
		return false
	case keepAll:
		return true
	case keepPrefix:
		return i < prefix
	}
	return rng.IntN(2) == 0
}

// crashContent mixes two contents sector by sector.
func crashContent(saved, now *memContent, rng *rand.Rand) memContent {
	kind := rng.IntN(keepKinds)
	size := now.size
	switch grown := now.size - saved.size; {
	case kind == keepNone, grown < 0 && rng.IntN(2) == 0:
		size = saved.size
	case grown > 0 && kind >= keepPrefix:
		size = saved.size + rng.Int64N(grown+1)
	}
	end := max(len(saved.data), len(now.data))
	dirty := 0
	for at := 0; at < end; at += sectorBytes {
		if !slices.Equal(saved.sector(at), now.sector(at)) {
			dirty++
		}
	}
	prefix, i := rng.IntN(dirty+1), 0
	mixed := memContent{data: make([]byte, (end+sectorBytes-1)/sectorBytes*sectorBytes)}
	for at := 0; at < end; at += sectorBytes {
		sector := now.sector(at)
		if was := saved.sector(at); !slices.Equal(was, sector) {
			if !keeps(kind, i, prefix, rng) {
				sector = was
			}
			i++
		}
		copy(mixed.data[at:], sector)
	}
	mixed.resize(size)
	return mixed
}

// sector returns the 512 bytes from at on, trailing zeros left out.
func (c *memContent) sector(at int) []byte {
	if at >= len(c.data) {
		return nil
	}
	s := c.data[at:min(at+sectorBytes, len(c.data))]
	for len(s) > 0 && s[len(s)-1] == 0 {
		s = s[:len(s)-1]
	}
	return s
}

func (c *memContent) clone() memContent { return memContent{slices.Clone(c.data), c.size} }

func (c *memContent) resize(size int64) {
	if int64(len(c.data)) > size {
		clear(c.data[size:])
		c.data = c.data[:size]
	}
	c.size = size
}

func (c *memContent) write(b []byte, off int64) {
	end := off + int64(len(b))
	if grow := int(end) - len(c.data); grow > 0 {
		c.data = append(c.data, make([]byte, grow)...)
	}
	copy(c.data[off:], b)
	c.size = max(c.size, end)
}

func (ch memChange) apply(names map[string]*memNode) {
	if ch.old != "" && names[ch.old] == ch.node {
		delete(names, ch.old)
	}
	if ch.node == nil {
		delete(names, ch.name)
	} else {
		names[ch.name] = ch.node
	}
}

// change counts a change and asks the hook about it.
func (m *MemFS) change(kind, name string, bytes int) error {
	m.ops++
	if m.fail == nil {
		return nil
	}
	return pathError(kind, name, m.fail(Op{m.ops, kind, name, bytes}))
}

// giveBack undoes take.
func (m *MemFS) giveBack(n int64) {
	if m.room >= 0 {
		m.room += max(n, 0)
	}
}

// Space implements FS.
func (m *MemFS) Space(name string) (Space, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.get(name)
	if m.room < 0 {
		return Space{Total: memSpace, Free: memSpace}, err
	}
	return Space{Total: memSpace, Free: m.room}, err
}

// memSpace is what a MemFS says that it has in all.
const memSpace = 1 << 40

// take uses up room for n new bytes and returns for how many there was some.
func (m *MemFS) take(n int64) int64 {
	if m.room < 0 {
		return n
	}
	n = max(0, min(n, m.room))
	m.room -= n
	return n
}

// lookup finds a node and the directory that holds it.
func (m *MemFS) lookup(name string) (dir, node *memNode, base string, err error) {
	node = m.root
	for _, part := range strings.Split(filepath.Clean(name), "/") {
		if part == "" || part == "." {
			continue
		}
		if node == nil || node.names == nil {
			return nil, nil, "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		dir, node, base = node, node.names[part], part
	}
	return dir, node, base, nil
}

func (m *MemFS) get(name string) (*memNode, error) {
	_, node, _, err := m.lookup(name)
	if err == nil && node == nil {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return node, err
}

func (m *MemFS) getDir(name string) (*memNode, error) {
	node, err := m.get(name)
	if err == nil && node.names == nil {
		err = &fs.PathError{Op: "open", Path: name, Err: unix.ENOTDIR}
	}
	return node, err
}

func (n *memNode) rename(ch memChange) {
	ch.apply(n.names)
	n.pending = append(n.pending, ch)
}

// Create implements FS.
func (m *MemFS) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change("create", name, 0); err != nil {
		return nil, err
	}
	dir, node, base, err := m.lookup(name)
	if err != nil {
		return nil, err
	}
	if node != nil || dir == nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	node = &memNode{modTime: time.Now()}
	dir.rename(memChange{name: base, node: node})
	return &memFile{m, node, name, true}, nil
}

// OpenRead implements FS.
func (m *MemFS) OpenRead(name string) (File, error) { return m.open(name, false) }

// OpenWrite implements FS.
func (m *MemFS) OpenWrite(name string) (File, error) { return m.open(name, true) }

func (m *MemFS) open(name string, writable bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.get(name)
	if err == nil && node.names != nil {
		err = &fs.PathError{Op: "open", Path: name, Err: unix.EISDIR}
	}
	if err != nil {
		return nil, err
	}
	return &memFile{m, node, name, writable}, nil
}

// Rename implements FS.
func (m *MemFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change("rename", to, 0); err != nil {
		return err
	}
	dir, node, old, err := m.lookup(from)
	if err != nil {
		return err
	}
	toDir, over, base, err := m.lookup(to)
	if err != nil {
		return err
	}
	if node == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if over != nil && over != node {
		m.giveBack(over.taken)
	}
	switch {
	case toDir == dir:
		dir.rename(memChange{name: base, old: old, node: node})
	default:
		move := &memMove{}
		toDir.rename(memChange{name: base, node: node, move: move})
		dir.rename(memChange{name: old, move: move})
	}
	return nil
}

// Remove implements FS.
func (m *MemFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change("remove", name, 0); err != nil {
		return err
	}
	dir, node, base, err := m.lookup(name)
	if err != nil {
		return err
	}
	if node == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	dir.rename(memChange{name: base})
	m.giveBack(node.taken)
	return nil
}

// List implements FS.
func (m *MemFS) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.getDir(dir)
	if err != nil {
		return nil, err
	}
	return sortedNames(node.names), nil
}

func sortedNames(names map[string]*memNode) []string {
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}

// Stat implements FS.
func (m *MemFS) Stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.get(name)
	if err != nil {
		return Info{}, err
	}
	return Info{Size: node.file.size, ModTime: node.modTime, Dir: node.names != nil}, nil
}

// MkdirAll implements FS.
func (m *MemFS) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change("mkdir", dir, 0); err != nil {
		return err
	}
	node := m.root
	for _, part := range strings.Split(filepath.Clean(dir), "/") {
		if part == "" || part == "." {
			continue
		}
		if node.names == nil {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
		}
		if node.names[part] == nil {
			node.rename(memChange{name: part, node: newMemDir()})
		}
		node = node.names[part]
	}
	return nil
}

// SyncDir implements FS.
func (m *MemFS) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change("syncdir", dir, 0); err != nil {
		return err
	}
	node, err := m.getDir(dir)
	if err != nil {
		return err
	}
	for _, ch := range node.pending {
		ch.apply(node.savedNames)
		if ch.move != nil {
			ch.move.synced = true
		}
	}
	node.pending = nil
	return nil
}

// Lock implements FS.
func (m *MemFS) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change("lock", name, 0); err != nil {
		return nil, err
	}
	if m.locks[name] {
		return nil, &LockedError{Name: name}
	}
	m.locks[name] = true
	return memLock{m, name}, nil
}

type memLock struct {
	m    *MemFS
	name string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}

type memFile struct {
	m        *MemFS
	node     *memNode
	name     string
	writable bool
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	c := &f.node.file
	if off >= c.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), c.size-off))
	clear(b[:n])
	if off < int64(len(c.data)) {
		copy(b[:n], c.data[off:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// before counts a change of the file, unless it may not be changed.
func (f *memFile) before(kind string, bytes int) error {
	if !f.writable {
		return &fs.PathError{Op: kind, Path: f.name, Err: unix.EBADF}
	}
	f.node.modTime = time.Now()
	return f.m.change(kind, f.name, bytes)
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.before("write", len(b)); err != nil {
		return 0, err
	}
	grow := max(0, off+int64(len(b))-max(f.node.taken, off))
	if got := f.m.take(grow); got < grow {
		n := len(b) - int(grow-got)
		f.write(b[:n], off)
		return n, pathError("write", f.name, unix.ENOSPC)
	}
	f.write(b, off)
	return len(b), nil
}

func (f *memFile) write(b []byte, off int64) {
	f.node.file.write(b, off)
	f.node.taken = max(f.node.taken, off+int64(len(b)))
	f.node.dirty.add(off, off+int64(len(b)))
}

func (f *memFile) Preallocate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.before("preallocate", 0); err != nil {
		return err
	}
	grow := max(0, size-f.node.taken)
	if got := f.m.take(grow); got < grow {
		f.m.room += got
		return pathError("preallocate", f.name, unix.ENOSPC)
	}
	f.node.taken += grow
	f.node.file.size = max(f.node.file.size, size)
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.before("truncate", 0); err != nil {
		return err
	}
	if end := int64(len(f.node.file.data)); end > size {
		f.node.dirty.add(size, end)
	}
	f.m.giveBack(f.node.taken - size)
	f.node.taken = min(f.node.taken, size)
	f.node.file.resize(size)
	return nil
}

func (f *memFile) SyncData() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.before("sync", 0); err != nil {
		return err
	}
	now, saved, dirty := &f.node.file, &f.node.saved, f.node.dirty
	saved.resize(now.size)
	if to := min(dirty.to, int64(len(now.data))); dirty.from < to {
		saved.write(now.data[dirty.from:to], dirty.from)
	}
	if dirty.to > int64(len(now.data)) && int64(len(saved.data)) > int64(len(now.data)) {
		saved.data = saved.data[:len(now.data)]
	}
	f.node.dirty = byteRange{}
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return f.node.file.size, nil
}

func (f *memFile) Close() error { return nil }

// ErrPowerCut is what changes fail with after FailFrom.
var ErrPowerCut = errors.New("wal: the power was cut")

// FailFrom is a hook for Inject: the n-th change from now on, and all later ones, fail as if
// the power were cut.
func (m *MemFS) FailFrom(n int) {
	first := m.Ops() + n
	m.Inject(func(op Op) error {
		if op.N >= first {
			return fmt.Errorf("%w at %s %s", ErrPowerCut, op.Kind, op.Name)
		}
		return nil
	})
}
