package netloop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/panjf2000/gnet/v2"
)

// How a connection comes to its loop. gnet's own accept is not used: it ends the whole engine
// when the process is out of descriptors, it cannot stop listening, and it accepts before
// anyone can refuse.
//
//  1. accept: a goroutine per listener takes it from the kernel.
//  2. admit: the limits say no, and it is closed; or it is counted and given to the loop with
//     the fewest.
//  3. enrol: gnet takes a duplicate of the descriptor, closes ours, and tells the loop.
//  4. opened: on the loop. From here on the connection is the loop's.
//  5. confirm: the registrar, one goroutine, hears how 3 and 4 went, and counts a connection
//     back that did not arrive.

// enrolment is a connection between 3 and 4.
type enrolment struct {
	conn   *Conn
	result <-chan gnet.RegisteredResult
}

// listen opens all listeners, or none.
func (s *Server) listen() error {
	config := net.ListenConfig{
		KeepAliveConfig: net.KeepAliveConfig{Enable: s.options.KeepAlive > 0},
	}
	if config.KeepAliveConfig.Enable {
		config.KeepAliveConfig.Idle = s.options.KeepAlive
		config.KeepAliveConfig.Interval = max(s.options.KeepAlive/5, time.Second)
	} else {
		config.KeepAlive = -1
	}
	config.SetMultipathTCP(false)
	for _, addr := range s.options.Addrs {
		ln, err := config.Listen(context.Background(), "tcp", strings.TrimPrefix(addr, "tcp://"))
		if err != nil {
			return fmt.Errorf("netloop: listen on %s: %w", addr, err)
		}
		s.listeners = append(s.listeners, ln.(*net.TCPListener))
	}
	return s.setBacklogs()
}

// setBacklogs changes the accept queues' lengths: listen(2) again does so on Linux.
func (s *Server) setBacklogs() error {
	if s.options.Backlog <= 0 {
		return nil
	}
	for _, ln := range s.listeners {
		raw, err := ln.SyscallConn()
		if err == nil {
			var inner error
			err = raw.Control(func(fd uintptr) { inner = unix.Listen(int(fd), s.options.Backlog) })
			err = errors.Join(err, inner)
		}
		if err != nil {
			return fmt.Errorf("netloop: set the backlog of %s: %w", ln.Addr(), err)
		}
	}
	return nil
}

func (s *Server) closeListeners() {
	for _, ln := range s.listeners {
		_ = ln.Close() // it was open, and is closed now
	}
}

// CloseListeners stops listening, and returns when every connection that was accepted is its
// loop's or closed. The connections stay. It waits for the loops, so no Handler may call it.
func (s *Server) CloseListeners() {
	s.closeOnce.Do(func() {
		close(s.closing)
		s.closeListeners()
		s.acceptors.Wait()
		close(s.enrolments)
		s.registrar.Wait()
	})
}

// startAccepting starts the acceptors and the registrar. The acceptors end with their
// listeners, the registrar after them.
func (s *Server) startAccepting() {
	for _, ln := range s.listeners {
		s.acceptors.Go(func() { s.accept(ln) })
	}
	s.registrar.Go(func() {
		for e := range s.enrolments {
			s.confirm(e)
		}
	})
}

// accept is the acceptor of one listener.
func (s *Server) accept(ln *net.TCPListener) {
	pause := acceptPauseMin
	for {
		tc, err := ln.AcceptTCP()
		if err == nil {
			pause = acceptPauseMin
			s.admit(tc)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		s.options.OnFault(fmt.Errorf("netloop: accept, next in %v: %w", pause, err))
		select {
		case <-time.After(pause):
		case <-s.closing:
			return
		}
		pause = min(2*pause, acceptPauseMax)
	}
}

// admit counts a connection and hands it to gnet, or closes it.
func (s *Server) admit(tc *net.TCPConn) {
	c := &Conn{
		id:     s.ids.Add(1),
		remote: addrPort(tc.RemoteAddr()),
		local:  addrPort(tc.LocalAddr()),
	}
	loop, err := s.admission.take(c.remote.Addr())
	if err != nil {
		_ = tc.Close()
		s.refuse(c, err)
		return
	}
	c.loop = s.loops[loop]
	result, err := c.loop.el.Enroll(gnet.NewContext(context.Background(), c), tc)
	if err != nil {
		_ = tc.Close()
		s.turnAway(c, err)
		return
	}
	s.enrolments <- enrolment{conn: c, result: result}
}

// confirm waits for the end of an enrolment. gnet closes what it could not enrol.
func (s *Server) confirm(e enrolment) {
	result := <-e.result
	switch {
	case result.Err != nil:
		s.turnAway(e.conn, result.Err)
	case e.conn.wire == nil:
		// gnet drops a connection that epoll did not take, and does not say so. Otherwise the
		// loop has set wire before the result was sent.
		s.turnAway(e.conn, errors.New("netloop: the event loop did not take the connection"))
	}
}

// turnAway refuses a connection that was counted already.
func (s *Server) turnAway(c *Conn, why error) {
	s.admission.release(c.remote.Addr(), c.loop.Index)
	s.refuse(c, why)
}

func (s *Server) refuse(c *Conn, why error) {
	s.refused.Add(1)
	s.options.OnRefuse(c.remote, why)
}

// addrPort converts an address of a connection and takes its zone out of the original: gnet
// returns the zone's bytes to a pool when the connection closes, to be overwritten there, but
// the string belongs to package net's cache of interface names.
func addrPort(addr net.Addr) netip.AddrPort {
	tcp := addr.(*net.TCPAddr)
	ap := tcp.AddrPort()
	tcp.Zone = ""
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
