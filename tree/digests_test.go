package tree

import (
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

// Every 128th digest is kept, the newest 1024; none of a tree that has no digests.
func TestDigestLog(t *testing.T) {
	var d, none DigestLog
	h, without := NewHead(Options{}), NewHead(Options{NoDigest: true})
	for z := proto.Zxid(1); z <= digestEvery*(digestsMax+5); z++ {
		d.Add(z, h)
		none.Add(z, without)
	}
	all := d.All()
	if len(all) != digestsMax || all[0].Zxid != 6*digestEvery ||
		all[len(all)-1] != (ZxidDigest{digestEvery * (digestsMax + 5), h.Digest()}) {
		t.Errorf("%d digests from %v to %v", len(all), all[0], all[len(all)-1])
	}
	if len(none.All()) != 0 {
		t.Error("a tree without digests has some")
	}
}
