package quorum

import (
	"context"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/zab"
)

// An Elector is the shell of an election: its goroutine owns the zab.Election and one timer, and
// its ElectionPort carries what it says.
type Elector struct {
	port    *ElectionPort
	machine *zab.Election
	start   time.Time
	box     *mailbox
	stop    chan struct{} // closed by Close
	stopped chan struct{} // closed by run
	decided func(zab.Decision)
	differs func(zab.ConfigDiffers)
	wake    *time.Timer
}

// Decision is what an election comes to, for those who do not import zab.
type Decision = zab.Decision

// ElectorConfig is what an Elector is made from.
type ElectorConfig struct {
	Port     Config // Receive and Unreachable are the elector's
	Election zab.ElectionConfig
	// Voters counts as a majority when Election.Quorum is nil.
	Voters []int64
	// Decided and Differs are called on the elector's goroutine, and must not block.
	Decided func(Decision)
	Differs func(zab.ConfigDiffers) // nil: nobody asks
}

// StartElector binds the election port. Nobody is voted for before Look.
func StartElector(ctx context.Context, c ElectorConfig) (*Elector, error) {
	if c.Election.Quorum == nil {
		c.Election.Quorum = zab.Majority(c.Voters)
	}
	c.Election.Self = c.Port.Self
	e := &Elector{machine: zab.NewElection(c.Election), start: time.Now(), box: newMailbox(),
		stop: make(chan struct{}), stopped: make(chan struct{}), decided: c.Decided,
		differs: c.Differs, wake: time.NewTimer(time.Hour)}
	c.Port.Receive = func(sid int64, n proto.Notification) { // a link has one message in the mailbox
		done := make(chan struct{})
		e.box.put(func() {
			e.perform(e.machine.Heard(e.now(), sid, n))
			close(done)
		})
		<-done // run ends only behind the links
	}
	c.Port.Unreachable = func(sid int64) {
		e.step(func(now int64) zab.ElectionOutput { return e.machine.Unreachable(now, sid) })
	}
	port, err := ListenElection(ctx, c.Port)
	if err != nil {
		return nil, err
	}
	e.port = port
	go e.run()
	return e, nil
}

// Look starts an election; see zab.Election.Look for what the caller promises.
func (e *Elector) Look(zxid proto.Zxid, epoch int64) {
	e.step(func(now int64) zab.ElectionOutput { return e.machine.Look(now, zxid, epoch) })
}

// Leave tells that the role is lost.
func (e *Elector) Leave() {
	e.step(func(int64) zab.ElectionOutput { return e.machine.Leave() })
}

// Settled tells that the leadership has begun its epoch.
func (e *Elector) Settled(epoch int64) {
	e.step(func(int64) zab.ElectionOutput { return e.machine.Settled(epoch) })
}

// Port is the election port.
func (e *Elector) Port() *ElectionPort { return e.port }

// Close ends the port and the goroutine.
func (e *Elector) Close() {
	e.port.Close()
	close(e.stop)
	<-e.stopped
}

func (e *Elector) now() int64 { return time.Since(e.start).Milliseconds() }

// step has the elector's goroutine give the machine an input, and do what comes out.
func (e *Elector) step(input func(now int64) zab.ElectionOutput) {
	e.box.put(func() { e.perform(input(e.now())) })
}

// run is the elector's goroutine. What was heard goes in before the time does: a goroutine that
// was late must not take for silent who has spoken.
func (e *Elector) run() {
	defer close(e.stopped)
	defer e.wake.Stop()
	for {
		select {
		case <-e.box.wake:
			e.box.run()
		case <-e.wake.C:
			e.box.run()
			e.perform(e.machine.Tick(e.now()))
		case <-e.stop:
			return
		}
	}
}

func (e *Elector) perform(out zab.ElectionOutput) {
	for _, m := range out.Send {
		e.port.Send(m.To, m.Notification)
	}
	for _, sid := range out.Reconnect {
		e.port.Connect(sid)
	}
	if out.Decided != nil {
		e.decided(*out.Decided)
	}
	for _, d := range out.Differs {
		if e.differs != nil {
			e.differs(d)
		}
	}
	e.wake.Stop()
	if out.Wake != zab.Never {
		e.wake.Reset(max(0, time.Duration(out.Wake-e.now())*time.Millisecond))
	}
}
