package zoocfg

import (
	"cmp"
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
	want string // what a value is, for messages and documents
	set  func(c *Config, suffix, value string) error
	odd  func(value string) string // what is odd about a value that set takes; nil: nothing is
}

// A bound is a closed range of integers, in the unit of the key.
type bound struct{ min, max int64 }

// The bounds most keys have. Java holds nearly all numbers in 32 bits.
var (
	anyInt      = bound{math.MinInt32, math.MaxInt32}
	zeroOrMore  = bound{0, math.MaxInt32}
	oneOrMore   = bound{1, math.MaxInt32}
	minusOneUp  = bound{-1, math.MaxInt32}
	longMillis  = bound{0, 1 << 40}
	port        = bound{0, 65535}
	portOrNone  = bound{-1, 65535}
	kibAtMost   = bound{0, math.MaxInt64 >> 10}
	kibOrNone   = bound{math.MinInt32, math.MaxInt64 >> 10}
	bytesOrNone = bound{-1, math.MaxInt64}
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

// integer reads a whole number; like java.lang.Integer.decode it takes hex after 0x.
func integer(text, what string, in bound) (int64, error) {
	digits, base := text, 10
	if hex, found := strings.CutPrefix(strings.ToLower(text), "0x"); found {
		digits, base = hex, 16
	}
	v, err := strconv.ParseInt(digits, base, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not %s (want %s)", text, what, in)
	}
	switch {
	case v < in.min:
		return 0, fmt.Errorf("%s is too small (want %s)", text, in)
	case v > in.max:
		return 0, fmt.Errorf("%s is too large (want at most %d)", text, in.max)
	}
	return v, nil
}

func intIn[T int | int64](in bound, field func(*Config) *T) kind {
	return kind{want: "number, " + in.String(), set: func(c *Config, _, value string) error {
		v, err := integer(value, "a number", in)
		if err == nil {
			*field(c) = T(v)
		}
		return err
	}}
}

// timeIn is a span of time that the file gives as a number of units. A negative number that
// the bound lets through, which says "none" or "the default", stays negative.
func timeIn(unit time.Duration, in bound, field func(*Config) *time.Duration) kind {
	name := map[time.Duration]string{
		time.Millisecond: "milliseconds", time.Second: "seconds",
	}[unit]
	return kind{want: name + ", " + in.String(), set: func(c *Config, _, value string) error {
		v, err := integer(value, "a number of "+name, in)
		if err == nil {
			*field(c) = time.Duration(v) * unit
		}
		return err
	}}
}

func millis(in bound, field func(*Config) *time.Duration) kind {
	return timeIn(time.Millisecond, in, field)
}

// kib is a size that the file gives in units of 1024 bytes. A negative one, where the bound
// lets it through, is no limit and is kept as 0.
func kib(in bound, field func(*Config) *int64) kind {
	return kind{want: "KiB, " + in.String(), set: func(c *Config, _, value string) error {
		v, err := integer(value, "a number of KiB", in)
		if err == nil {
			*field(c) = max(v, 0) << 10
		}
		return err
	}}
}

func float(field func(*Config) *float64) kind {
	return kind{want: "number", set: func(c *Config, _, value string) error {
		v, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%q is not a number", value)
		}
		*field(c) = v
		return nil
	}}
}

func boolean(field func(*Config) *bool) kind { return choice("true", "false", field) }

func yesNo(field func(*Config) *bool) kind { return choice("yes", "no", field) }

func choice(yes, no string, field func(*Config) *bool) kind {
	return kind{want: yes + " or " + no, set: func(c *Config, _, value string) error {
		isYes := strings.EqualFold(value, yes)
		if !isYes && !strings.EqualFold(value, no) {
			return fmt.Errorf("%q is not %s or %s", value, yes, no)
		}
		*field(c) = isYes
		return nil
	}}
}

func text(field func(*Config) *string) kind {
	return kind{want: "text", set: func(c *Config, _, value string) error {
		*field(c) = value
		return nil
	}}
}

func filePath(field func(*Config) *string) kind { return filled("path", field) }

// address is the one to listen on. An IPv6 address may stand in brackets; an empty text is the
// loopback address, as it is for Java.
func address(field func(*Config) *string) kind {
	return kind{
		want: "address",
		set: func(c *Config, _, value string) error {
			*field(c) = cmp.Or(withoutBrackets(value), "127.0.0.1")
			return nil
		},
		odd: func(value string) string {
			if value == "" {
				return "is empty, which stands for the loopback address, as for Java"
			}
			return ""
		},
	}
}

func withoutBrackets(host string) string {
	inner, opens := strings.CutPrefix(host, "[")
	inner, closes := strings.CutSuffix(inner, "]")
	if opens && closes && strings.Contains(inner, ":") {
		return inner
	}
	return host
}

// filled is a text that must not be empty.
func filled(what string, field func(*Config) *string) kind {
	return kind{want: what, set: func(c *Config, _, value string) error {
		if value == "" {
			return fmt.Errorf("the %s is empty", what)
		}
		*field(c) = value
		return nil
	}}
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
