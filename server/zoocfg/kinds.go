package zoocfg

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A kind says what a key may hold and puts it into a Config. Its suffix is what stands in the
// place of "*" in the key's name, if the name has one.
type kind struct {
	want string                                      // what a value is, for messages and documents
	set  func(c *Config, suffix, value string) error // an *oddity is no failure
}

// A bound is a closed range of integers, in the unit of the key.
type bound struct {
	min, max int64
	floor    bool // less than min counts as min; else it is refused, or the default counts
}

// The bounds most keys have. Java holds nearly all numbers in 32 bits.
var (
	anyInt      = bound{min: math.MinInt32, max: math.MaxInt32}
	zeroOrMore  = bound{min: 0, max: math.MaxInt32, floor: true}
	oneOrMore   = bound{min: 1, max: math.MaxInt32}
	atLeastOne  = bound{min: 1, max: math.MaxInt32, floor: true}
	minusOneUp  = bound{min: -1, max: math.MaxInt32, floor: true}
	longMillis  = bound{min: 0, max: 1 << 40, floor: true}
	votes       = bound{min: 0, max: math.MaxInt32}
	port        = bound{min: 0, max: 65535}
	portOrNone  = bound{min: -1, max: 65535, floor: true}
	portOrLess  = bound{min: math.MinInt32, max: 65535}
	kibAtMost   = bound{min: 0, max: math.MaxInt64 >> 10, floor: true}
	kibOrNone   = bound{min: math.MinInt32, max: math.MaxInt64 >> 10}
	bytesOrNone = bound{min: -1, max: math.MaxInt64, floor: true}
)

func (b bound) String() string {
	switch {
	case b.min <= math.MinInt32 && b.max >= math.MaxInt32:
		return "any"
	case b.max >= math.MaxInt32:
		return fmt.Sprintf("%d or more", b.min)
	default:
		return fmt.Sprintf("%d to %d", b.min, b.max)
	}
}

// integer reads a whole number (Integer.parseInt). An error that is an oddity comes with a number
// to take.
func integer(text, what string, in bound) (int64, error) {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not %s (want %s)", text, what, in)
	}
	switch {
	case v < in.min && in.floor:
		return in.min, &oddity{text: fmt.Sprintf("%s counts as %d", text, in.min)}
	case v < in.min:
		return 0, fmt.Errorf("%s is too small (want %s)", text, in)
	case v > in.max:
		return 0, fmt.Errorf("%s is too large (want at most %d)", text, in.max)
	}
	return v, nil
}

// isOdd tells whether a value is taken in spite of an error.
func isOdd(err error) bool {
	var odd *oddity
	return err == nil || errors.As(err, &odd)
}

// intIn is a number that Java's parser itself reads, and refuses when it cannot be.
func intIn[T int | int64](in bound, field func(*Config) *T) kind {
	return kind{want: "number, " + in.String(), set: func(c *Config, _, value string) error {
		v, err := integer(value, "a number", in)
		if isOdd(err) {
			*field(c) = T(v)
		}
		return err
	}}
}

// strictMillis is a span of time that the file gives in milliseconds. A negative number that the
// bound lets through, which says "none" or "the default", stays negative.
func strictMillis(in bound, field func(*Config) *time.Duration) kind {
	return kind{want: "milliseconds, " + in.String(), set: func(c *Config, _, v string) error {
		n, err := integer(v, "a number of milliseconds", in)
		if isOdd(err) {
			*field(c) = time.Duration(n) * time.Millisecond
		}
		return err
	}}
}

// strictBoolean is QuorumPeerConfig.parseBoolean.
func strictBoolean(field func(*Config) *bool) kind {
	return kind{want: "true or false", set: func(c *Config, _, value string) error {
		isTrue := strings.EqualFold(value, "true")
		if !isTrue && !strings.EqualFold(value, "false") {
			return fmt.Errorf("%q is not true or false", value)
		}
		*field(c) = isTrue
		return nil
	}}
}

func text(field func(*Config) *string) kind {
	return kind{want: "text", set: func(c *Config, _, value string) error {
		*field(c) = value
		return nil
	}}
}

// filePath is a path as it stands: no shell has looked at it.
func filePath(field func(*Config) *string) kind {
	return kind{want: "path", set: func(c *Config, _, value string) error {
		*field(c) = value
		switch {
		case value == "":
			return errors.New("the path is empty")
		case strings.ContainsAny(value[:1], `"'`):
			return &oddity{text: "the quotes are part of the name, as for Java; leave them out"}
		case strings.HasPrefix(value, "~/"), strings.ContainsRune(value, '$'):
			return &oddity{text: "~ and $ are parts of the name, as for Java; write the path in full"}
		case strings.Contains(value, " #"):
			return &oddity{text: "the # and what follows it is part of the name, as for Java; " +
				"a comment has a line of its own"}
		}
		return nil
	}}
}

// address is the one to listen on. An IPv6 address may stand in brackets; an empty text is the
// loopback address, as it is for Java.
func address(field func(*Config) *string) kind {
	return kind{want: "address", set: func(c *Config, _, value string) error {
		*field(c) = cmp.Or(withoutBrackets(value), "127.0.0.1")
		if value == "" {
			return &oddity{text: "is empty, which stands for the loopback address, as for Java"}
		}
		return nil
	}}
}

func withoutBrackets(host string) string {
	inner, opens := strings.CutPrefix(host, "[")
	inner, closes := strings.CutSuffix(inner, "]")
	if opens && closes && strings.Contains(inner, ":") {
		return inner
	}
	return host
}

// urlPath is a path of a URL; like Java's HTTP server we take none that is relative.
func urlPath(field func(*Config) *string) kind {
	return kind{want: "path that begins with /", set: func(c *Config, _, value string) error {
		if !strings.HasPrefix(value, "/") {
			return fmt.Errorf("%q does not begin with /", value)
		}
		*field(c) = value
		return nil
	}}
}

// oneOf is a word of a list, in any case; it is kept as the list has it.
func oneOf(field func(*Config) *string, words ...string) kind {
	want := "one of " + strings.Join(words, ", ")
	if last := len(words) - 1; words[last] == "" {
		want = "one of " + strings.Join(words[:last], ", ") + " or empty"
	}
	return kind{want: want, set: func(c *Config, _, value string) error {
		i := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, value) })
		if i < 0 {
			return fmt.Errorf("%q is not %s", value, want)
		}
		*field(c) = words[i]
		return nil
	}}
}

// list is a list of words with commas between them; empty ones are dropped.
func list(field func(*Config) *[]string) kind {
	return kind{want: "list with commas", set: func(c *Config, _, value string) error {
		*field(c) = splitList(value)
		return nil
	}}
}

func splitList(value string) []string {
	var words []string
	for word := range strings.SplitSeq(value, ",") {
		if word = javaTrim(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// family collects keys of one prefix under what follows it.
func family(field func(*Config) *map[string]string) kind {
	return kind{want: "text", set: func(c *Config, suffix, value string) error {
		m := field(c)
		if *m == nil {
			*m = map[string]string{}
		}
		(*m)[suffix] = value
		return nil
	}}
}

// interval is a span of time with a unit of its own, hours when it has none
// (Time.parseTimeInterval). Zero and less mean never.
func interval(field func(*Config) *time.Duration) kind {
	const want = "hours, or a number and ms, s, m, h or d"
	return kind{want: want, set: func(c *Config, _, v string) error {
		number, unit := v, time.Hour
		for _, u := range []struct {
			suffix string
			unit   time.Duration
		}{
			{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute},
			{"h", time.Hour}, {"d", 24 * time.Hour},
		} {
			if n, found := strings.CutSuffix(strings.ToLower(v), u.suffix); found {
				number, unit = n, u.unit
				break
			}
		}
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil || time.Duration(n) > math.MaxInt64/unit {
			return fmt.Errorf("%q is not a time (want %s)", v, want)
		}
		*field(c) = max(time.Duration(n)*unit, 0)
		return nil
	}}
}

// ignored accepts anything: the key steers what only a Java server has.
func ignored() kind { return kind{want: "anything"} }
