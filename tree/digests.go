package tree

import (
	"slices"

	"github.com/meerkat-zk/meerkat/proto"
)

// A DigestLog keeps the tree's digest after every digestEvery-th transaction, the newest
// digestsMax of them (DataTree.logZxidDigest). Two servers of an ensemble can be compared by it.
type DigestLog struct{ list []ZxidDigest }

// A ZxidDigest is the tree's digest after a transaction.
type ZxidDigest struct {
	Zxid   proto.Zxid
	Digest int64
}

const (
	digestEvery = 128
	digestsMax  = 1024
)

// Add is called after each transaction, with the head as it left it.
func (d *DigestLog) Add(z proto.Zxid, h *Head) {
	if z%digestEvery != 0 || h.Options().NoDigest {
		return
	}
	if len(d.list) == digestsMax {
		d.list = append(d.list[:0], d.list[1:]...)
	}
	d.list = append(d.list, ZxidDigest{z, h.Digest()})
}

// All is a copy of what was kept, oldest first.
func (d *DigestLog) All() []ZxidDigest { return slices.Clone(d.list) }
