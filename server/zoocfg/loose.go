package zoocfg

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Most keys are properties of the Java virtual machine there, and Java never refuses one: what
// it cannot read counts as another word or as the default. So it is here, with a warning.

// An oddity is what is odd about a value that was taken all the same.
type oddity struct {
	text      string
	isDefault bool // the key's default was taken in its place
}

func (o *oddity) Error() string { return o.text }

// word is a key that Java compares with one word: any other value is the opposite.
type word struct {
	counts, opposite string
	on               bool // what the word that counts means
	anyCase          bool
}

// Java's ways to read a switch.
var (
	onlyTrue    = word{counts: "true", opposite: "false", on: true, anyCase: true}
	onlyYes     = word{counts: "yes", opposite: "no", on: true}
	unlessNo    = word{counts: "no", opposite: "yes"}
	unlessFalse = word{counts: "false", opposite: "true"}
)

func (w word) kind(field func(*Config) *bool) kind {
	want := w.counts + " or " + w.opposite
	if !w.on {
		want = w.opposite + " or " + w.counts
	}
	return kind{want: want, set: func(c *Config, _, value string) error {
		if value == w.counts || w.anyCase && strings.EqualFold(value, w.counts) {
			*field(c) = w.on
			return nil
		}
		*field(c) = !w.on
		if strings.EqualFold(value, w.opposite) {
			return nil
		}
		return &oddity{text: fmt.Sprintf("%q counts as %s, as for Java, since it is not %s; write "+
			"%s or %s", value, w.opposite, w.counts, w.counts, w.opposite)}
	}}
}

// boolean is Boolean.parseBoolean: all but "true" is false.
func boolean(field func(*Config) *bool) kind { return onlyTrue.kind(field) }

// number is Integer.getInteger: what cannot be read counts as the default.
func number[T int | int64](in bound, field func(*Config) *T) kind {
	return kind{want: "number, " + in.String(), set: func(c *Config, _, value string) error {
		v, err := in.decode(value, "a number")
		if v != nil {
			*field(c) = T(*v)
		}
		return err
	}}
}

func millis(in bound, field func(*Config) *time.Duration) kind {
	return kind{want: "milliseconds, " + in.String(), set: func(c *Config, _, value string) error {
		v, err := in.decode(value, "a number of milliseconds")
		if v != nil {
			*field(c) = time.Duration(*v) * time.Millisecond
		}
		return err
	}}
}

// kib is a size that the file gives in units of 1024 bytes. A negative one, where the bound
// lets it through, is no limit and is kept as 0.
func kib(in bound, field func(*Config) *int64) kind {
	return kind{want: "KiB, " + in.String(), set: func(c *Config, _, value string) error {
		v, err := in.decode(value, "a number of KiB")
		if v != nil {
			*field(c) = max(*v, 0) << 10
		}
		return err
	}}
}

// decode is what to take for a text, nil for the default, and what is odd about it.
func (b bound) decode(value, what string) (*int64, error) {
	v, ok := decodeInteger(value)
	switch {
	case !ok:
		return nil, &oddity{fmt.Sprintf("%q is not %s", value, what), true}
	case v < b.min && b.floor:
		return &b.min, &oddity{text: fmt.Sprintf("%s counts as %d", value, b.min)}
	case v < b.min:
		return nil, &oddity{fmt.Sprintf("%s is too small (want %s)", value, b), true}
	case v > b.max:
		return nil, &oddity{fmt.Sprintf("%s is too large (want at most %d)", value, b.max), true}
	}
	return &v, nil
}

// decodeInteger is Long.decode: a sign, then hex after 0x or #, octal after 0, or decimal.
func decodeInteger(text string) (int64, bool) {
	sign, digits := "", text
	if text != "" && (text[0] == '-' || text[0] == '+') {
		sign, digits = text[:1], text[1:]
	}
	base := 10
	switch lower := strings.ToLower(digits); {
	case strings.HasPrefix(lower, "0x"):
		digits, base = digits[2:], 16
	case strings.HasPrefix(lower, "#"):
		digits, base = digits[1:], 16
	case len(digits) > 1 && digits[0] == '0':
		digits, base = digits[1:], 8
	}
	if strings.HasPrefix(digits, "-") || strings.HasPrefix(digits, "+") {
		return 0, false
	}
	v, err := strconv.ParseInt(sign+digits, base, 64)
	return v, err == nil
}

func float(field func(*Config) *float64) kind {
	return kind{want: "number", set: func(c *Config, _, value string) error {
		v, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return &oddity{fmt.Sprintf("%q is not a number", value), true}
		}
		*field(c) = v
		return nil
	}}
}

// looseOneOf is a word of a list; any other counts as the default.
func looseOneOf(field func(*Config) *string, words ...string) kind {
	k := oneOf(field, words...)
	set := k.set
	k.set = func(c *Config, suffix, value string) error {
		if err := set(c, suffix, value); err != nil {
			return &oddity{err.Error(), true}
		}
		return nil
	}
	return k
}
