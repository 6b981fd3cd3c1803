package netloop

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/panjf2000/gnet/v2"
)

// Options say what Start starts. The zero value of each number means its default.
type Options struct {
	// Addrs are TCP addresses to listen on, with or without "tcp://": "127.0.0.1:2181",
	// "[::1]:2181", ":2181" (IPv4 and IPv6), port 0 for a free one.
	Addrs []string
	// Backlog is the length of the kernel's accept queue; 0 takes the system's largest.
	Backlog int
	// KeepAlive turns TCP keep-alive on, with this idle time; 0 leaves it off.
	KeepAlive time.Duration

	// Loops is the number of event loops; 0 takes one per core (GOMAXPROCS).
	Loops int
	// NewHandler makes the Handler of a loop. It is called once per loop, on Start's
	// goroutine, when all loops are there and before the first connection.
	NewHandler func(l *Loop) Handler
	// TickEvery is the period of Handler.Tick; 0 means no ticks.
	TickEvery time.Duration

	// FrameBytesMax is the largest frame a Handler waits for; it bounds the input that a
	// connection gathers. Default 0xfffff.
	FrameBytesMax int
	// ReadBytesPerTurn bounds what a turn reads from a connection; it is rounded up to a
	// power of two. Default 64 KiB.
	ReadBytesPerTurn int
	// OutPauseBytes is the output mark: a connection with this much unsent is neither read
	// nor decoded until it has fallen to OutResumeBytes. Defaults 1 MiB and half of the
	// mark; a negative mark is none (a quorum connection is never held).
	OutPauseBytes, OutResumeBytes int

	// MaxPerIP and MaxTotal bound the connections (maxClientCnxns, maxCnxns); 0 is no bound.
	MaxPerIP, MaxTotal int
	// OnRefuse hears of every connection that was closed before its Open: ErrTooManyFromIP,
	// ErrTooMany, or an error of the system. Any goroutine may call it.
	OnRefuse func(addr netip.AddrPort, why error)
	// OnFault hears of failures that belong to no connection: an accept that failed (the
	// next one waits, up to a second), gnet's errors. Any goroutine may call it.
	OnFault func(err error)
}

func (o *Options) setDefaults() error {
	if o.NewHandler == nil {
		return errors.New("netloop: Options.NewHandler is missing")
	}
	if o.OnRefuse == nil {
		o.OnRefuse = func(netip.AddrPort, error) {}
	}
	if o.OnFault == nil {
		o.OnFault = func(error) {}
	}
	setDefault(&o.Loops, runtime.GOMAXPROCS(0))
	setDefault(&o.FrameBytesMax, defaultFrameBytesMax)
	setDefault(&o.ReadBytesPerTurn, defaultReadBytes)
	o.ReadBytesPerTurn = 1 << bits.Len(uint(max(o.ReadBytesPerTurn, readBytesMin)-1))
	setDefault(&o.OutPauseBytes, defaultOutPauseBytes)
	setDefault(&o.OutResumeBytes, o.OutPauseBytes/2)
	return nil
}

func setDefault(n *int, value int) {
	if *n == 0 {
		*n = value
	}
}

func (o *Options) bounds() bounds {
	input := frameHeaderBytes + o.FrameBytesMax + o.ReadBytesPerTurn
	return bounds{
		readBytes:     o.ReadBytesPerTurn,
		inputBytes:    input,
		inputBytesMax: input + inputExtraBytes,
		outPause:      max(o.OutPauseBytes, 0),
		outResume:     max(o.OutResumeBytes, 0),
	}
}

// A Server is a set of loops and the listeners that feed them.
type Server struct {
	options   Options
	loops     []*Loop
	engine    *gnet.Client // gnet's engine without listeners of its own: see accept.go
	admission *admission
	listeners []*net.TCPListener

	enrolments chan enrolment
	acceptors  sync.WaitGroup // goroutines: one per listener
	registrar  sync.WaitGroup // goroutine: one
	ticker     sync.WaitGroup // goroutine: one, if there are ticks
	closing    chan struct{}  // closed by CloseListeners
	ending     chan struct{}  // closed by Stop when connections are gone

	closeOnce sync.Once
	stopOnce  sync.Once
	stopErr   error

	ids     atomic.Uint64
	refused atomic.Uint64
}

// Start listens on all addresses, starts the loops, and returns when connections are welcome.
// The error of an address that cannot be listened on names it; then nothing is left running.
func Start(o Options) (*Server, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	s := &Server{
		options:    o,
		admission:  newAdmission(o.Loops, o.MaxPerIP, o.MaxTotal),
		enrolments: make(chan enrolment, enrolmentsInFlight),
		closing:    make(chan struct{}),
		ending:     make(chan struct{}),
	}
	if err := s.listen(); err != nil {
		s.closeListeners()
		return nil, err
	}
	if err := s.startLoops(); err != nil {
		s.closeListeners()
		return nil, err
	}
	for _, l := range s.loops {
		l.handler = o.NewHandler(l)
	}
	for _, l := range s.loops {
		// A Handler may have used Wake or Execute already; from its first run on, a loop
		// takes care of itself.
		l.buyTicket()
	}
	s.startAccepting()
	s.startTicking()
	return s, nil
}

// startLoops starts gnet and learns its loops, one by one, through their bells.
func (s *Server) startLoops() error {
	engine, err := gnet.NewClient(&gnetEvents{},
		gnet.WithNumEventLoop(s.options.Loops),
		gnet.WithReadBufferCap(s.options.ReadBytesPerTurn),
		gnet.WithLogger(gnetLogger{onFault: s.options.OnFault}))
	if err != nil {
		return fmt.Errorf("netloop: make the event loops: %w", err)
	}
	if err := engine.Start(); err != nil {
		return fmt.Errorf("netloop: start the event loops: %w", err)
	}
	s.engine = engine
	for i := range s.options.Loops {
		l := &Loop{Index: i, server: s, bounds: s.options.bounds(), bell: -1}
		l.wakeup.state.Store(signaled) // Start gives the first ticket
		s.loops = append(s.loops, l)
		if err := s.hangBell(l); err != nil {
			_ = engine.Stop()
			s.closeBells()
			return fmt.Errorf("netloop: start event loop %d: %w", i, err)
		}
	}
	return nil
}

// hangBell makes l's bell. gnet gives it to the loop with the fewest connections, which is
// one that has no bell yet: so each bell finds its own loop.
func (s *Server) hangBell(l *Loop) error {
	pair, err := unix.Socketpair(unix.AF_UNIX,
		unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	l.bell = pair[0]
	file := os.NewFile(uintptr(pair[1]), "bell")
	end, err := net.FileConn(file)
	_ = file.Close() // FileConn has its own copy
	if err != nil {
		return err
	}
	if _, err := s.engine.EnrollContext(end, l); err != nil {
		return err
	}
	if l.el == nil || l.epoll < 0 {
		return errors.New("the event loop's epoll descriptor was not found")
	}
	for _, other := range s.loops[:l.Index] {
		if other.el == l.el {
			return errors.New("gnet did not choose the loop with the fewest connections")
		}
	}
	return nil
}

// attach is the OnOpen of the loop's bell, on the loop's goroutine.
func (l *Loop) attach(gc gnet.Conn) {
	l.el = gc.EventLoop()
	l.epoll = findEpoll(gc.Fd())
}

func (s *Server) closeBells() {
	for _, l := range s.loops {
		if l.bell >= 0 {
			_ = unix.Close(l.bell)
		}
	}
}

// Addrs returns the addresses listened on, in the order of Options.Addrs, with real ports.
func (s *Server) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(s.listeners))
	for i, ln := range s.listeners {
		addrs[i] = ln.Addr()
	}
	return addrs
}

// Loops returns the loops, by Index. The caller must not change the slice.
func (s *Server) Loops() []*Loop { return s.loops }

// Connections returns how many connections are open or on their way to a loop.
func (s *Server) Connections() int { return s.admission.count() }

// Refused returns how many connections were closed before their Open.
func (s *Server) Refused() uint64 { return s.refused.Load() }

// startTicking starts the goroutine that leaves a flag on each loop every TickEvery. It ends
// with the Server.
func (s *Server) startTicking() {
	if s.options.TickEvery <= 0 {
		return
	}
	s.ticker.Go(func() {
		every := time.NewTicker(s.options.TickEvery)
		defer every.Stop()
		for {
			select {
			case <-s.ending:
				return
			case <-every.C:
			}
			for _, l := range s.loops {
				l.ticked.Store(true)
				l.signal()
			}
		}
	})
}

// Stop closes the listeners, lets every connection write what it has and closes it, and waits
// until the loops have ended. When ctx ends first, the connections that are left are closed
// as they are, and ctx's error is returned. Later calls return the first one's result.
func (s *Server) Stop(ctx context.Context) error {
	s.stopOnce.Do(func() { s.stopErr = s.stop(ctx) })
	return s.stopErr
}

func (s *Server) stop(ctx context.Context) error {
	var failure error
	if !wait(ctx, s.CloseListeners) {
		failure = ctx.Err()
	}
	for _, l := range s.loops {
		l.Execute(l.closeAll)
	}
	select {
	case <-s.admission.awaitEmpty():
	case <-ctx.Done():
		failure = ctx.Err()
	}
	close(s.ending)
	s.ticker.Wait()
	for _, l := range s.loops {
		l.sellNoMore()
	}
	// A Handler that never returns keeps its loop, and gnet, from ending.
	ended := wait(ctx, func() {
		if err := s.engine.Stop(); err != nil {
			s.options.OnFault(fmt.Errorf("netloop: stop the event loops: %w", err))
		}
		s.closeBells()
	})
	if !ended {
		failure = ctx.Err()
	}
	if failure != nil {
		return fmt.Errorf("netloop: stop: %w", failure)
	}
	return nil
}

// wait runs f on a goroutine of its own and reports whether f ended before ctx did.
func wait(ctx context.Context, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}
