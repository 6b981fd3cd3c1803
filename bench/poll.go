package bench

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A poller is an epoll, level-triggered, over the sockets of one driver.
type poller struct {
	fd     int
	events [256]unix.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := newEpoll()
	if err != nil {
		return nil, err
	}
	return &poller{fd: fd}, nil
}

func newEpoll() (fd int, err error) {
	if fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return -1, fmt.Errorf("bench: epoll_create1: %w", err)
	}
	return fd, nil
}

// control changes what an epoll tells of a connection.
func control(epoll, op int, c *conn, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(c.slot)}
	if err := unix.EpollCtl(epoll, op, c.fd, &ev); err != nil {
		return fmt.Errorf("bench: epoll_ctl of connection %d: %w", c.id, err)
	}
	return nil
}

func (p *poller) close() error { return unix.Close(p.fd) }

// add makes the poller tell when there is something to read.
func (p *poller) add(c *conn) error { return control(p.fd, unix.EPOLL_CTL_ADD, c, unix.EPOLLIN) }

// watch changes whether it also tells when there is room to write.
func (p *poller) watch(c *conn, room bool) error {
	events := uint32(unix.EPOLLIN)
	if room {
		events |= unix.EPOLLOUT
	}
	return control(p.fd, unix.EPOLL_CTL_MOD, c, events)
}

// forget ends what add began.
func (p *poller) forget(c *conn) error { return control(p.fd, unix.EPOLL_CTL_DEL, c, 0) }

// wait returns what is ready, nothing after the timeout. Below a millisecond, ppoll keeps the
// time, for epoll_wait counts in milliseconds.
func (p *poller) wait(timeout time.Duration) ([]unix.EpollEvent, error) {
	ms := int(timeout / time.Millisecond)
	if timeout%time.Millisecond != 0 {
		ts := unix.NsecToTimespec(int64(timeout))
		fds := [1]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		n, err := unix.Ppoll(fds[:], &ts, nil)
		if n == 0 || err == unix.EINTR {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("bench: ppoll: %w", err)
		}
		ms = 0
	}
	n, err := unix.EpollWait(p.fd, p.events[:], ms)
	if err == unix.EINTR {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("bench: epoll_wait: %w", err)
	}
	return p.events[:n], nil
}

// An arrivals is an epoll, edge-triggered, that tells of bytes that came without reading them.
type arrivals struct {
	fd     int
	events [1024]unix.EpollEvent
}

func newArrivals(conns []*conn) (*arrivals, error) {
	fd, err := newEpoll()
	if err != nil {
		return nil, err
	}
	a := &arrivals{fd: fd}
	for _, c := range conns {
		if err := control(fd, unix.EPOLL_CTL_ADD, c, unix.EPOLLIN|unix.EPOLLET); err != nil {
			return nil, errors.Join(err, a.close())
		}
	}
	return a, nil
}

func (a *arrivals) close() error { return unix.Close(a.fd) }

// next returns the sockets to which bytes came since they were last returned; it does not wait.
func (a *arrivals) next() ([]unix.EpollEvent, error) {
	n, err := unix.EpollWait(a.fd, a.events[:], 0)
	if err != nil && err != unix.EINTR {
		return nil, fmt.Errorf("bench: epoll_wait: %w", err)
	}
	return a.events[:max(n, 0)], nil
}

// forget passes over what came until now.
func (a *arrivals) forget() error {
	for {
		events, err := a.next()
		if err != nil || len(events) == 0 {
			return err
		}
	}
}
