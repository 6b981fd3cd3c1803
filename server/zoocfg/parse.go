package zoocfg

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// A Warning says that something in the file is odd but can be lived with.
type Warning struct {
	File string
	Line int // 0: the file as a whole
	Text string
}

func (w Warning) String() string { return place(w.File, w.Line) + w.Text }

// An Error says what in the file cannot be. [Parse] joins as many as it finds.
type Error struct {
	File string
	Line int    // 0: the file as a whole
	Key  string // "" when it is not about one key
	Text string
}

func (e *Error) Error() string {
	if e.Key == "" {
		return place(e.File, e.Line) + e.Text
	}
	return place(e.File, e.Line) + e.Key + ": " + e.Text
}

func place(file string, line int) string {
	if file == "" {
		return ""
	}
	if line == 0 {
		return file + ": "
	}
	return fmt.Sprintf("%s:%d: ", file, line)
}

// Load reads the file, the file of members that its dynamicConfigFile names, and dataDir/myid.
func Load(path string) (*Config, []Warning, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err // it names the file
	}
	defer f.Close()
	p := parser{file: path}
	p.read(f)
	if p.c.Quorum.DynamicConfigFile != "" && len(p.errs) == 0 {
		p.loadMembers()
	}
	if p.c.DataDir != "" && len(p.errs) == 0 {
		p.loadMyID()
	}
	return p.finish()
}

// Parse reads a configuration from r; name stands for it in messages. Members that the
// configuration leaves to its dynamicConfigFile are not read, nor is myid: see [Load].
func Parse(name string, r io.Reader) (*Config, []Warning, error) {
	p := parser{file: name}
	p.read(r)
	return p.finish()
}

// A parser is one reading of one configuration.
type parser struct {
	file     string // that is being read
	c        *Config
	seen     map[string]position // of each known key, by its name without prefix
	warnings []Warning
	errs     []error
}

// A position is where something stands. The zero position is the main file as a whole.
type position struct {
	file string
	line int
}

func (p *parser) at(line int) position { return position{p.file, line} }

func (p *parser) warn(at position, format string, args ...any) {
	file := cmp.Or(at.file, p.file)
	p.warnings = append(p.warnings, Warning{file, at.line, fmt.Sprintf(format, args...)})
}

func (p *parser) fail(at position, key, format string, args ...any) {
	file := cmp.Or(at.file, p.file)
	p.errs = append(p.errs, &Error{file, at.line, key, fmt.Sprintf(format, args...)})
}

// read takes the properties of the main file.
func (p *parser) read(r io.Reader) {
	p.c = withDefaults()
	p.seen = map[string]position{}
	for _, prop := range p.properties(r) {
		p.take(prop)
	}
}

// properties reads the syntax of the current file.
func (p *parser) properties(r io.Reader) []property {
	read, err := readProperties(r)
	var bad *Error
	switch {
	case errors.As(err, &bad):
		p.fail(p.at(bad.Line), "", "%s", bad.Text)
	case err != nil:
		p.fail(p.at(0), "", "%v", err)
	}
	if read.marked {
		p.warn(p.at(1), "a byte order mark is passed over; Java takes it for a part of the first "+
			"key: save the file without one")
	}
	for _, line := range read.latin1 {
		p.warn(p.at(line), `bytes beyond ASCII are read as Latin-1, as Java does; write \uXXXX`)
	}
	for i := range read.properties { // QuorumPeerConfig trims both
		read.properties[i].key = javaTrim(read.properties[i].key)
		read.properties[i].value = javaTrim(read.properties[i].value)
	}
	return read.properties
}

// take puts one property where it belongs.
func (p *parser) take(prop property) {
	k, name, suffix := find(prop.key)
	if k == nil {
		p.unknown(prop)
		return
	}
	at := p.at(prop.line)
	if earlier, twice := p.seen[name]; twice {
		p.warn(at, "%s: also set on line %d; the last one counts", prop.key, earlier.line)
		if k.def != "" && k.kind.set != nil {
			_ = k.kind.set(p.c, "", k.def) // for a last one that counts as the default
		}
	}
	p.seen[name] = at
	if k.kind.set == nil {
		return
	}
	var odd *oddity
	switch err := k.kind.set(p.c, suffix, prop.value); {
	case err == nil:
	case !errors.As(err, &odd):
		p.fail(at, prop.key, "%v", err)
	case !odd.isDefault:
		p.warn(at, "%s: %s", prop.key, odd)
	default:
		p.warn(at, "%s: %s; the default counts, as for Java: %s", prop.key, odd,
			cmp.Or(k.def, "as without the key"))
	}
}

func (p *parser) unknown(prop property) {
	if guess := nearestKey(strings.TrimPrefix(prop.key, propertyPrefix)); guess != "" {
		p.warn(p.at(prop.line), "%s: unknown key, ignored; did you mean %s?", prop.key, guess)
		return
	}
	p.warn(p.at(prop.line), "%s: unknown key, ignored", prop.key)
}

// finish joins what the keys say and hands out the result.
func (p *parser) finish() (*Config, []Warning, error) {
	if len(p.errs) == 0 {
		p.check()
	}
	if len(p.errs) > 0 {
		return nil, p.warnings, errors.Join(p.errs...)
	}
	p.c.places = p.seen
	return p.c, p.warnings, nil
}
