package tree

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/meerkat-zk/meerkat/proto"
)

// ZxidMax is the highest zxid that a state may have when it is taken over, from files or in a
// restore. Zxids end at 2^63, and a server that came there could log nothing more. So many are left
// that none ever will, and none has counted so far: such a zxid is a mistake.
const ZxidMax = proto.Zxid(math.MaxInt64 >> 1)

// ReadExact reads an uncompressed snapshot that comes alone: no file name tells its zxid, and no
// log will make up for what it lacks. So it must be of one moment, which those that Java writes
// while it serves need not be. What is asked of it beyond ReadSnapshot:
//
//   - it names its zxid, as the processed one (since 3.9) or as that of its digest;
//   - its digest is the tree's; a tree without digests (Options.NoDigest) cannot tell;
//   - no znode is of a later transaction, and no ACL is missing;
//   - it ends where its last section ends.
func ReadExact(r io.Reader, o Options) (*Head, error) {
	s := newSnapshotReader(r, o)
	h := s.file(o)
	s.trailer(h, 0)
	if s.err == nil && !s.atEOF() {
		s.fail("more bytes follow its end")
	}
	if s.err != nil {
		return nil, s.err
	}
	if err := h.checkExact(s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	return h, nil
}

// checkExact finds the zxid of what was read, and what tells that it never was so.
func (h *Head) checkExact(s *snapshotReader) error {
	const fuzzy = "it was written while the tree changed"
	_, digest, hasDigest := h.LoadedDigest()
	switch {
	case s.hasLast:
		h.zxid = s.last
	case hasDigest:
		h.zxid = h.loaded.zxid
	default:
		return fmt.Errorf("it does not name its zxid")
	}
	if h.zxid < 0 || h.zxid > ZxidMax {
		return fmt.Errorf("zxid %v cannot be: no server has counted beyond %v", h.zxid, ZxidMax)
	}
	if hasDigest && !h.opts.NoDigest && digest != h.Digest() {
		return fmt.Errorf("%s: its digest is %x, the tree's %x", fuzzy, uint64(digest),
			uint64(h.Digest()))
	}
	if h.fuzzy {
		return fmt.Errorf("%s: an ACL is missing", fuzzy)
	}
	var late *Node
	h.walk(h.Get("/"), func(n *Node) bool {
		// What is below /zookeeper may have its zxid from a configuration file.
		if max(n.czxid, n.mzxid, n.pzxid) > h.zxid && !strings.HasPrefix(n.Path(), procPrefix) {
			late = n
		}
		return late == nil
	})
	if late != nil {
		return fmt.Errorf("%s: it is of zxid %v, %q of a later one", fuzzy, h.zxid, late.Path())
	}
	return nil
}
