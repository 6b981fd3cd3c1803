package clientlog

import (
	"log/slog"
	"net"
)

// Lines that other servers can cause, and whoever reaches the ports that are meant for them.
func (l *Log) addPeerLines() {
	l.stranger = l.line(slog.LevelWarn, "election connection refused", usualLines)
	l.peerMessage = l.line(slog.LevelWarn, "election message ignored", usualLines)
	l.peerUp = l.line(slog.LevelInfo, "election peer connected", usualLines)
	l.peerDown = l.line(slog.LevelInfo, "election peer gone", usualLines)
	l.peerAway = l.line(slog.LevelInfo, "election peer not reached", usualLines)
}

// PeerRefused reports a connection to the election port that is no server of this ensemble, or
// not the one that it says it is.
func (l *Log) PeerRefused(addr net.Addr, why error) {
	l.stranger.write("peer", addr, "why", why)
}

// PeerMessageIgnored reports a message that means nothing, from a server that is kept.
func (l *Log) PeerMessageIgnored(sid int64, why error) {
	l.peerMessage.write("sid", sid, "why", why)
}

// PeerConnected reports a connection to another server's election port, or from it.
func (l *Log) PeerConnected(sid int64, addr net.Addr) {
	l.peerUp.write("sid", sid, "peer", addr)
}

// PeerGone reports the end of such a connection.
func (l *Log) PeerGone(sid int64, why error) { l.peerDown.write("sid", sid, "why", why) }

// PeerNotReached reports an attempt to connect that failed.
func (l *Log) PeerNotReached(sid int64, why error) { l.peerAway.write("sid", sid, "why", why) }
