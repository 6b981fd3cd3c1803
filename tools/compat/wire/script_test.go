package wire

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

// A play is the run of one script file against one server.
//
// A step is a line: the connection's name, a verb, its arguments.
//
//	restart kill|stop          the server ends so and starts again, its connections with it
//	a connect [timeout=ms] [session=b] [passwd=b|zero|short|null] [zxid=n] [legacy] [readonly]
//	  [early="OP … ; OP …"]    sent in one write with the ConnectRequest
//	a OP PATH [key=value …]    an op of the table in ops_test.go; the answer is awaited
//	a burst OP … ; OP …        several requests in one write, then their answers
//	a multi OP … ; OP …        one multi (or multiRead) of these parts
//	a eof                      the server closes: what comes before is printed
//	a events N                 N watch events are awaited
//	a drop                     the client closes its socket without a word
//	a bytes HEX                writes bytes as they are
//	later                      from here on, times print as the next tN
//	word WORD                  a four-letter word
//
// With anyzxid the zxid of the answer is not printed.
// ping unordered sorts the events before its answer: a closed session's ephemerals go in any
// order. getACL sorted prints the entries in order, where Java's order is that of a hash set.
// Every request takes xid=n, cut=n (leaves out the last n bytes of the body) and pad=hex.
type play struct {
	t      *testing.T
	server *target.Server
	conns  map[string]*conn
	names  map[int64]string // session id to the connection that created it
	marks  []int64          // wall clock of every later, ms
	out    strings.Builder
}

func newPlay(t *testing.T) *play {
	return &play{t: t, conns: make(map[string]*conn), names: make(map[int64]string)}
}

// start runs the server; the lines go to its zoo.cfg.
func (p *play) start(lines string) {
	p.server = target.Start(p.t, strings.Split(lines, "\n")...)
	p.later()
}

// run plays a block and returns its transcript.
func (p *play) run(block string) string {
	p.out.Reset()
	for line := range strings.Lines(block) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words, err := split(line)
		if err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
		if err := p.step(words); err != nil {
			p.t.Fatalf("%s: %v\n%s", line, err, p.out.String())
		}
	}
	return p.out.String()
}

func (p *play) printf(format string, args ...any) {
	fmt.Fprintf(&p.out, format+"\n", args...)
}

func (p *play) step(words []string) error {
	switch words[0] {
	case "later":
		p.later()
		return nil
	case "restart":
		return p.restart(words[1])
	case "word":
		text, err := p.server.Word(words[1])
		p.printf("%s", strings.TrimRight(text, "\n"))
		return err
	}
	if len(words) < 2 {
		return fmt.Errorf("a step is a connection and a verb")
	}
	name, verb := words[0], words[1]
	a, err := parseArgs(words[2:])
	if err != nil {
		return err
	}
	if verb == "connect" {
		return p.connect(name, a)
	}
	c := p.conns[name]
	if c == nil {
		return fmt.Errorf("%s is not connected", name)
	}
	switch verb {
	case "eof":
		c.printUntilClosed()
		return nil
	case "events":
		n, err := strconv.Atoi(a.at(0))
		if err == nil {
			err = c.events(n)
		}
		return err
	case "drop":
		return c.c.Close()
	case "bytes":
		return c.writeHex(a.at(0))
	case "burst":
		return c.burst(words[2:])
	case "ping":
		before := p.out.Len()
		if err := c.burst(words[1:]); err != nil || !a.has("unordered") {
			return err
		}
		p.sortSince(before)
		return nil
	default:
		return c.burst(words[1:])
	}
}

// sortSince sorts what was printed since then, the zxids of events aside: Java 3.8 has none.
func (p *play) sortSince(start int) {
	text := p.out.String()
	lines := strings.SplitAfter(text[start:], "\n")
	slices.SortFunc(lines, func(a, b string) int {
		return strings.Compare(zxidField.ReplaceAllString(a, ""), zxidField.ReplaceAllString(b, ""))
	})
	p.out.Reset()
	p.out.WriteString(text[:start] + strings.Join(lines, ""))
}

// restart ends the server and starts it again.
func (p *play) restart(how string) error {
	switch how {
	case "kill":
		p.server.Kill()
	case "stop":
		p.server.Stop()
	default:
		return fmt.Errorf("a server ends by kill or stop")
	}
	p.server.Restart()
	p.later()
	return nil
}

var zxidField = regexp.MustCompile(`zxid=\S+ `)

// later waits until the wall clock shows another millisecond than any transaction so far.
func (p *play) later() {
	mark := time.Now().UnixMilli()
	for time.Now().UnixMilli() == mark {
		time.Sleep(100 * time.Microsecond) // one tick of a clock that nothing announces
	}
	p.marks = append(p.marks, mark)
}

// moment prints a time as the number of the last mark before it; 0 is a time that is not set.
func (p *play) moment(ms int64) string {
	if ms == 0 {
		return "0"
	}
	n := 0
	for n < len(p.marks) && ms > p.marks[n] {
		n++
	}
	if n == 0 || ms > time.Now().UnixMilli() {
		return strconv.FormatInt(ms, 10)
	}
	return "t" + strconv.Itoa(n)
}

// session prints a session id by the name of the connection that created it.
func (p *play) session(id int64) string {
	if name, known := p.names[id]; known {
		return name
	}
	if id == 0 {
		return "0"
	}
	return fmt.Sprintf("0x%x", uint64(id))
}

// split cuts a line into words; double quotes hold a Go string, also behind a "key=".
func split(line string) ([]string, error) {
	var words []string
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		end := strings.IndexAny(line, ` "`)
		switch {
		case end < 0:
			end = len(line)
		case line[end] == '"':
			quoted, err := strconv.QuotedPrefix(line[end:])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			text, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
			words = append(words, line[:end]+text)
			line = line[end+len(quoted):]
			continue
		}
		words = append(words, line[:end])
		line = line[end:]
	}
	return words, nil
}

// args are the arguments of a verb: positional ones, and key=value or bare flags.
type args struct {
	positional []string
	values     map[string]string
	err        error // the first value that is none
}

// flags are the words that stand without a value.
var flags = map[string]bool{
	"watch": true, "legacy": true, "readonly": true, "sorted": true, "anyzxid": true,
	"unordered": true,
}

func parseArgs(words []string) (*args, error) {
	a := &args{values: make(map[string]string)}
	for _, w := range words {
		key, value, has := strings.Cut(w, "=")
		switch {
		case flags[w]:
			a.values[w] = "true"
		case has && !strings.HasPrefix(w, "/"):
			a.values[key] = value
		default:
			a.positional = append(a.positional, w)
		}
	}
	return a, nil
}

// at is a positional argument; "null" is what it says.
func (a *args) at(i int) string {
	if i >= len(a.positional) {
		return ""
	}
	return text(a.positional[i])
}

// text is a word as a string of a record.
func text(word string) string {
	if word == "null" {
		return jute.Null
	}
	return word
}

func (a *args) has(key string) bool { _, has := a.values[key]; return has }

func (a *args) number(key string, otherwise int64) int64 {
	text, has := a.values[key]
	if !has {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 0, 64)
	if err != nil {
		a.err = err
	}
	return n
}

// list is a value of several parts between commas; "null" and "empty" are what they say, as is a
// part "null".
func (a *args) list(key string) []string {
	switch list, has := a.values[key]; {
	case !has, list == "empty":
		return []string{}
	case list == "null":
		return nil
	default:
		parts := strings.Split(list, ",")
		for i := range parts {
			parts[i] = text(parts[i])
		}
		return parts
	}
}
