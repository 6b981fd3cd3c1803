package zab

import (
	"fmt"

	"github.com/meerkat-zk/meerkat/proto"
)

// A Link is one connection between a leader and a learner. No two have the same number, so what
// comes late from a connection that is gone is nobody's.
type Link int64

// A Message is a packet of the quorum port as far as consensus needs it. Who carries it keeps
// its payload.
type Message struct {
	Type  proto.PacketType
	Zxid  proto.Zxid
	Epoch int64 // of ACKEPOCH: the learner's current epoch; -1: it had accepted this one before
	Info  proto.LearnerInfo
}

func (m Message) String() string {
	switch m.Type {
	case proto.PacketAckEpoch:
		return fmt.Sprintf("%s epoch=%d last=%v", m.Type, m.Epoch, m.Zxid)
	case proto.PacketFollowerInfo, proto.PacketObserverInfo:
		return fmt.Sprintf("%s sid=%d %v", m.Type, m.Info.ServerID, m.Zxid)
	}
	return fmt.Sprintf("%s %v", m.Type, m.Zxid)
}

// Do says what an Action asks for.
type Do uint8

// The actions. None that promises something is asked for before what it promises is on disk.
const (
	// Send gives Message to Link.
	Send Do = iota
	// Drop closes Link and says why.
	Drop
	// SaveAccepted writes acceptedEpoch, with fsync, and comes back as OnAcceptedSaved.
	SaveAccepted
	// SaveCurrent writes currentEpoch, with fsync, and comes back as OnCurrentSaved.
	SaveCurrent
	// SyncLearner sends Link what it lacks: DecideSync(Zxid, ...) says how. What the machine
	// sends to Link afterwards goes behind it.
	SyncLearner
	// Activate begins the epoch: the leader's head goes on to Zxid, and clients are served.
	Activate
	// CommitTo publishes everything up to Zxid.
	CommitTo
	// Truncate drops what is above Zxid from log and tree, with fsync: OnHistory.
	Truncate
	// ReceiveSnapshot replaces log and tree with the stream that follows, of the tree at Zxid,
	// with fsync: OnHistory.
	ReceiveSnapshot
	// Serve begins to serve clients, at epoch Zxid.Epoch.
	Serve
	// StepDown ends this role and says why; the server looks for a leader again.
	StepDown
)

// An Action is one thing that the machine wants done. They are done in order.
type Action struct {
	Do      Do
	Link    Link
	Message Message    // Send
	Zxid    proto.Zxid // SyncLearner, Activate, CommitTo, Truncate, ReceiveSnapshot, Serve
	Epoch   int64      // SaveAccepted, SaveCurrent
	Reason  string     // Drop, StepDown
}

func (a Action) String() string {
	switch a.Do {
	case Send:
		return fmt.Sprintf("to %d: %v", a.Link, a.Message)
	case Drop:
		return fmt.Sprintf("drop %d: %s", a.Link, a.Reason)
	case SaveAccepted:
		return fmt.Sprintf("save acceptedEpoch %d", a.Epoch)
	case SaveCurrent:
		return fmt.Sprintf("save currentEpoch %d", a.Epoch)
	case SyncLearner:
		return fmt.Sprintf("sync %d from %v", a.Link, a.Zxid)
	case Activate:
		return fmt.Sprintf("activate %v", a.Zxid)
	case CommitTo:
		return fmt.Sprintf("commit to %v", a.Zxid)
	case Truncate:
		return fmt.Sprintf("truncate to %v", a.Zxid)
	case ReceiveSnapshot:
		return fmt.Sprintf("receive snapshot %v", a.Zxid)
	case Serve:
		return fmt.Sprintf("serve %v", a.Zxid)
	}
	return fmt.Sprintf("step down: %s", a.Reason)
}

// Limits are the times of a role, in ms (initLimit and syncLimit times tickTime).
type Limits struct {
	TickMs, InitMs, SyncMs int64
}

// A Past is what a server brings to a role: all of it is on its disk.
type Past struct {
	Accepted int64      // acceptedEpoch
	Current  int64      // currentEpoch
	Last     proto.Zxid // the newest logged transaction; -1: the disk is empty, see Wiped voter
}
