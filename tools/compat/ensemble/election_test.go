package ensemble

import (
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/meerkat-zk/meerkat/proto"
)

// All start together, and the largest id leads: a Java server, or we. A JVM takes so long to
// start that its port may refuse us while the two others agree; then we look again, as a
// follower does whose leader does not lead.
func TestStartTogether(t *testing.T) {
	t.Run("java leads", func(t *testing.T) {
		e := newEnsemble(t)
		e.java(2)
		e.java(3)
		e.meerkat(1, 0, 0)
		e.converges(proto.Following, 3)
		e.serves(3, "leader")
		e.serves(2, "follower")
	})
	t.Run("we lead", func(t *testing.T) {
		e := newEnsemble(t)
		e.java(1)
		e.java(2)
		e.meerkat(3, 0, 0)
		e.concludes(proto.Leading, 3)
		e.says(1, proto.Following)
		e.says(2, proto.Following)
	})
}

// The others have a leader when we come: we join it, whatever our id, and stay when we are asked.
func TestStartLast(t *testing.T) {
	for name, c := range map[string]struct{ ours, leader, follower int64 }{
		"smallest id": {1, 3, 2}, "middle id": {2, 3, 1}, "largest id": {3, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnsemble(t)
			e.java(c.leader)
			e.java(c.follower)
			e.serves(c.leader, "leader")
			e.serves(c.follower, "follower")
			e.meerkat(c.ours, 0, 0)
			e.concludes(proto.Following, c.leader)
			e.ours.Settled(1)
			e.serves(c.leader, "leader")
		})
	}
}

// We have the largest id and the shorter history: one of the others leads. When it dies, the
// other one does, and we conclude that too.
func TestLargestIDWithLowerZxid(t *testing.T) {
	e := newEnsemble(t)
	killOne, killTwo := e.java(1), e.java(2)
	e.serves(2, "leader")
	e.serves(1, "follower")
	e.create(2, "/a")
	killOne()
	killTwo()

	killTwo = e.java(2)
	e.meerkat(3, 0, 0)
	e.concludes(proto.Following, 2)
	e.java(1)
	e.serves(2, "leader")
	e.serves(1, "follower")
	e.ours.Settled(2)

	killTwo()
	e.ours.Leave()
	e.ours.Look(0, 0)
	e.concludes(proto.Following, 1)
	e.says(1, proto.Leading)
}

// A voter of ours without a history does not help to elect, and joins those who could without it.
func TestWipedVoter(t *testing.T) {
	e := newEnsemble(t)
	e.java(1)
	e.meerkat(3, -1, 1) // it knows of an epoch, so there was a history
	select {
	case d := <-e.decided:
		t.Fatalf("we are %v without a history, %v", d.State, d.Vote)
	case <-time.After(3 * time.Second): // nothing is to happen
	}
	e.java(2)
	e.concludes(proto.Following, 2)
	e.serves(2, "leader")
}

// create writes a znode through a Java server.
func (e *ensemble) create(sid int64, path string) {
	e.t.Helper()
	c, _, err := zk.Connect([]string{"127.0.0.1:" + e.ports[sid].client}, 5*time.Second,
		zk.WithLogInfo(false))
	if err != nil {
		e.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Create(path, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		e.t.Fatal(err)
	}
}
