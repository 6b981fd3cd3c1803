package zoocfg

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
)

// fileBytesMax bounds a configuration file; a real one has a few kilobytes.
const fileBytesMax = 1 << 20

// A file is what a configuration file says.
type file struct {
	properties []property
	latin1     []int // lines with bytes beyond ASCII
	marked     bool  // it begins with a byte order mark
}

// A property is one key and its value.
type property struct {
	key, value string
	line       int // where the key stands, from 1
}

// readProperties reads the syntax of java.util.Properties:
//
//	# comment         also !, only as the first visible character of a line
//	key = value       also "key: value" and "key value"
//	key = begin \     a backslash at the end joins the next line, without its indent
//	      and end
//	key\ x = a\tb     \t \n \r \f \uXXXX; a backslash before anything else is dropped
//
// A byte beyond ASCII is the Latin-1 character of that code, as it is for Java: a directory
// that a Java server made from the same file has the same name for us.
func readProperties(r io.Reader) (f file, err error) {
	data, err := io.ReadAll(io.LimitReader(r, fileBytesMax+1))
	if err != nil {
		return f, err
	}
	if len(data) > fileBytesMax {
		return f, fmt.Errorf("more than %d bytes", fileBytesMax)
	}
	text := string(data)
	if wide := encodingOf(text); wide != "" {
		return f, &Error{Line: 1, Text: "the file is in " + wide + ": save it as UTF-8 without a " +
			"byte order mark"}
	}
	text, f.marked = strings.CutPrefix(text, "\ufeff")
	l := lines{rest: text}
	for {
		text, line, ok := l.logical()
		if !ok {
			return f, nil
		}
		if strings.IndexFunc(text, func(r rune) bool { return r >= 0x80 }) >= 0 {
			f.latin1 = append(f.latin1, line)
		}
		p, err := split(text)
		if err != nil {
			return file{}, &Error{Line: line, Text: err.Error()}
		}
		p.line = line
		f.properties = append(f.properties, p)
	}
}

// encodingOf names the encoding of a text that is in units of 16 or 32 bits, as editors on
// Windows write it; "" for any other. Without a mark its first character shows, which is ASCII.
func encodingOf(text string) string {
	switch {
	case strings.HasPrefix(text, "\xff\xfe\x00\x00"), strings.HasPrefix(text, "\x00\x00\xfe\xff"):
		return "UTF-32"
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"),
		len(text) >= 2 && (text[0] == 0) != (text[1] == 0):
		return "UTF-16"
	default:
		return ""
	}
}

// lines hands out a text line by line.
type lines struct {
	rest string
	n    int // lines handed out so far
}

// natural is the next line of the file; it ends at \n, \r or both.
func (l *lines) natural() (line string, ok bool) {
	if l.rest == "" {
		return "", false
	}
	l.n++
	end := strings.IndexAny(l.rest, "\r\n")
	if end < 0 {
		line, l.rest = l.rest, ""
		return line, true
	}
	line = l.rest[:end]
	if strings.HasPrefix(l.rest[end:], "\r\n") {
		end++
	}
	l.rest = l.rest[end+1:]
	return line, true
}

// logical is the next line that holds a property, with those that continue it, and its number.
// A backslash that stands alone continues nothing: to Java the line is empty, or, at the end
// of the file, a property without a name.
func (l *lines) logical() (line string, number int, ok bool) {
	for {
		line, ok = l.natural()
		if !ok {
			return "", 0, false
		}
		line = strings.TrimLeft(line, blanks)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		if line != `\` || l.rest == "" {
			break
		}
	}
	number = l.n
	for continues(line) {
		next, more := l.natural()
		line = line[:len(line)-1] + strings.TrimLeft(next, blanks)
		if !more {
			break
		}
	}
	return line, number, true
}

const blanks = " \t\f"

// continues tells whether a line ends in a backslash that is not itself escaped.
func continues(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// split cuts a logical line into key and value, each free of escapes.
func split(line string) (property, error) {
	end := len(line)
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
		} else if strings.IndexByte(blanks+"=:", line[i]) >= 0 {
			end = i
			break
		}
	}
	value := strings.TrimLeft(line[end:], blanks)
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], blanks)
	}
	k, err := unescape(line[:end])
	if err != nil {
		return property{}, err
	}
	v, err := unescape(value)
	return property{key: k, value: v}, err
}

var errUnicodeEscape = errors.New(`a \u is not followed by four hex digits`)

// unescape resolves backslashes, and turns Latin-1 into UTF-8.
func unescape(s string) (string, error) {
	units := make([]uint16, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			units = append(units, uint16(s[i]))
			continue
		}
		i++
		if i == len(s) {
			break
		}
		switch s[i] {
		case 't':
			units = append(units, '\t')
		case 'n':
			units = append(units, '\n')
		case 'r':
			units = append(units, '\r')
		case 'f':
			units = append(units, '\f')
		case 'u':
			if len(s)-i < 5 {
				return "", errUnicodeEscape
			}
			u, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
			if err != nil {
				return "", errUnicodeEscape
			}
			units = append(units, uint16(u))
			i += 4
		default:
			units = append(units, uint16(s[i]))
		}
	}
	return string(utf16.Decode(units)), nil
}

// javaTrim is String.trim: it takes off all that is not above a space.
func javaTrim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
}
