package proto

import (
	"fmt"

	"github.com/meerkat-zk/meerkat/jute"
)

// A PacketType says what a packet on the quorum port is (Leader.java).
type PacketType int32

// The packets between a leader and its learners. L is a learner, M the leader.
const (
	PacketRequest           PacketType = 1  // L→M: a client's request
	PacketProposal          PacketType = 2  // M→L: a transaction to log
	PacketAck               PacketType = 3  // L→M: all up to its zxid is on disk
	PacketCommit            PacketType = 4  // M→L: a quorum has the transaction
	PacketPing              PacketType = 5  // both ways; the answer tells whom the learner heard
	PacketRevalidate        PacketType = 6  // both ways: may a session go on here?
	PacketSync              PacketType = 7  // M→L: answers a client's sync
	PacketInform            PacketType = 8  // M→L: a committed transaction, for observers
	PacketCommitAndActivate PacketType = 9  // M→L: COMMIT of a reconfiguration
	PacketNewLeader         PacketType = 10 // M→L: the history ends here
	PacketFollowerInfo      PacketType = 11 // L→M: a voter says hello
	PacketUpToDate          PacketType = 12 // M→L: serve
	PacketDiff              PacketType = 13 // M→L: what you have stands; what is missing follows
	PacketTrunc             PacketType = 14 // M→L: drop what is above the zxid
	PacketSnap              PacketType = 15 // M→L: a whole snapshot follows
	PacketObserverInfo      PacketType = 16 // L→M: an observer says hello
	PacketLeaderInfo        PacketType = 17 // M→L: the new epoch
	PacketAckEpoch          PacketType = 18 // L→M: the epoch is accepted; what the learner has
	PacketInformAndActivate PacketType = 19 // M→L: INFORM of a reconfiguration
)

var packetNames = [...]string{PacketRequest: "REQUEST", PacketProposal: "PROPOSAL",
	PacketAck: "ACK", PacketCommit: "COMMIT", PacketPing: "PING", PacketRevalidate: "REVALIDATE",
	PacketSync: "SYNC", PacketInform: "INFORM", PacketCommitAndActivate: "COMMITANDACTIVATE",
	PacketNewLeader: "NEWLEADER", PacketFollowerInfo: "FOLLOWERINFO", PacketUpToDate: "UPTODATE",
	PacketDiff: "DIFF", PacketTrunc: "TRUNC", PacketSnap: "SNAP",
	PacketObserverInfo: "OBSERVERINFO", PacketLeaderInfo: "LEADERINFO",
	PacketAckEpoch: "ACKEPOCH", PacketInformAndActivate: "INFORMANDACTIVATE"}

func (t PacketType) String() string {
	if t > 0 && int(t) < len(packetNames) {
		return packetNames[t]
	}
	return fmt.Sprintf("packet(%d)", int32(t))
}

// A Packet is what servers send each other on the quorum port, one after the other, without a
// length in front (QuorumPacket).
//
//	int type | long zxid | buffer data, -1: none | vector<Id> authinfo, -1: none
type Packet struct {
	Type PacketType
	Zxid Zxid
	Data []byte // nil: none
	Auth []ID   // of a REQUEST: the client's identities
}

// Fields codes Packet. Data aliases the input when reading.
func (p *Packet) Fields(c *jute.Coder) {
	c.Int((*int32)(&p.Type))
	c.Long((*int64)(&p.Zxid))
	c.Buffer(&p.Data)
	jute.Vector(c, &p.Auth, 8, func(c *jute.Coder, id *ID) { id.Fields(c) })
}

// LearnerProtocol is the version of the quorum port's protocol that is spoken since 3.4
// (Learner.java, LearnerHandler.java).
const LearnerProtocol = 0x10000

// A LearnerInfo is the data of FOLLOWERINFO and OBSERVERINFO. Its fields came one by one: an old
// learner sends 8 or 12 bytes, and what is missing reads as 0.
type LearnerInfo struct {
	ServerID      int64
	Protocol      int32
	ConfigVersion int64 // of the members that the learner knows as committed
}

// Fields codes LearnerInfo (LearnerHandler.run).
func (r *LearnerInfo) Fields(c *jute.Coder) {
	c.Long(&r.ServerID)
	if !c.Reading() || c.More() {
		c.Int(&r.Protocol)
	}
	if !c.Reading() || c.More() {
		c.Long(&r.ConfigVersion)
	}
}
