package proto

import "encoding/binary"

// PasswordBytes is the length of a session password.
const PasswordBytes = 16

// passwordSalt is ZooKeeperServer.superSecret.
const passwordSalt = 0xB3415C00

// SessionPassword computes the password of a session as every ZooKeeper server does: 16
// bytes of java.util.Random seeded with the id and a fixed salt (ZooKeeperServer.generatePasswd),
// so a session survives a move between servers of either kind.
func SessionPassword(sessionID int64) (p [PasswordBytes]byte) {
	const (
		multiplier = 0x5DEECE66D
		addend     = 0xB
		mask       = 1<<48 - 1
	)
	s := (uint64(sessionID) ^ passwordSalt ^ multiplier) & mask
	for i := 0; i < PasswordBytes; i += 4 {
		s = (s*multiplier + addend) & mask
		binary.LittleEndian.PutUint32(p[i:], uint32(s>>16))
	}
	return p
}

// FirstSessionID is where a server starts to count session ids: its id in the top byte, then
// five bytes of a clock in ms, then two of zeros (SessionTrackerImpl.initializeNextSessionId).
func FirstSessionID(serverID, clockMs int64) int64 {
	id := int64(uint64(clockMs<<24)>>8) | serverID<<56
	if id == -1<<63 { // the container mark among ephemeral owners
		id++
	}
	return id
}
