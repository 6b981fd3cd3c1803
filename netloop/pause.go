package netloop

import (
	"os"

	"golang.org/x/sys/unix"
)

// gnet cannot stop reading a connection. This file can, and it alone knows how: it changes
// the events of the descriptor in the loop's own epoll, behind gnet's back.
//
//  1. findEpoll learns a loop's epoll descriptor once, at boot.
//  2. interest.set asks for the events wanted: reading or not, and writing while gnet's output
//     buffer holds bytes, for gnet waits for that.
//  3. gnet sets the events itself at two places, both of which turn reading on: when a write
//     leaves a rest (reading and writing), which gnetArmed is told, and when that rest is gone
//     (reading), which nobody is told: then bytes of a paused connection arrive, received
//     says so, and the turn that took them pauses again.
//
// gnet must not be built with the tag poll_opt: it keeps pointers where we write descriptors
// (see polltag.go).

// Events of a connection as gnet asks for them (netpoll.ReadEvents, netpoll.WriteEvents).
const (
	readEvents  = unix.EPOLLIN | unix.EPOLLPRI
	writeEvents = unix.EPOLLOUT
)

// interest is what one descriptor asks of its loop's epoll.
type interest struct {
	epoll   int
	fd      int
	reading bool // as far as we know: gnet may have turned it on
}

// gnetArmed notes that gnet turned reading on.
func (i *interest) gnetArmed() { i.reading = true }

// set turns reading on or off and does nothing when it is so already.
func (i *interest) set(reading, writing bool) error {
	if reading == i.reading {
		return nil
	}
	var events uint32
	if reading {
		events |= readEvents
	}
	if writing {
		events |= writeEvents
	}
	if err := modify(i.epoll, i.fd, events); err != nil {
		return os.NewSyscallError("epoll_ctl mod", err)
	}
	i.reading = reading
	return nil
}

func modify(epoll, fd int, events uint32) error {
	return unix.EpollCtl(epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{
		Fd: int32(fd), Events: events,
	})
}

// findEpoll returns the epoll descriptor that watches fd, a descriptor that gnet has just
// registered for reading. It asks every descriptor to set what fd has already: a descriptor
// that is no epoll answers EINVAL, another epoll ENOENT, so nothing changes anywhere. It
// returns -1 when there is none.
func findEpoll(fd int) int {
	for epoll := range findEpollMax {
		if modify(epoll, fd, readEvents) == nil {
			return epoll
		}
	}
	return -1
}

// findEpollMax bounds the search; a process that holds this many descriptors at boot has
// another problem.
const findEpollMax = 1 << 16
