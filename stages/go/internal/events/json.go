package events

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// encoding/json is not used: it replaces lone surrogates, it matches keys of structs
// without regard to case, and it allocates memory for each value. This scanner reads JSON
// as RFC 8259 defines it, and keeps nothing but the fields of an event.

// maxDepth is how deep the JSON of a line may nest.
const maxDepth = 500

// The fields of an event, in the order in which they are checked.
const (
	ts = iota
	typ
	user
	value
	fieldCount
)

var fieldNames = [fieldCount]string{"ts", "type", "user", "value"}

type kind int

const (
	absent  kind = iota
	text         // a string without escapes
	escaped      // a string with escapes
	integer      // a number without fraction and exponent
	decimal      // any other number
	object
	other
)

// A token is a value as it is written; a string without its quotes. Of arrays, objects
// and literals only the kind is kept.
type token struct {
	kind kind
	raw  string
}

// text returns a string with its escapes replaced; false for another kind, and for a
// string with a lone surrogate.
func (t token) text() (string, bool) {
	switch t.kind {
	case text:
		return t.raw, true
	case escaped:
		return unescape(t.raw)
	default:
		return "", false
	}
}

// scanLine reads a line as one JSON value. It returns the fields of an event that it has,
// and whether the value is an object; ok is false if the line is not JSON.
func scanLine(line string) (fields [fieldCount]token, isObject, ok bool) {
	s := scanner{text: line}
	s.skipSpace()
	if isObject = s.peek() == '{'; isObject {
		ok = s.object(1, &fields)
	} else {
		_, ok = s.value(0)
	}
	s.skipSpace()
	return fields, isObject, ok && s.at == len(s.text)
}

type scanner struct {
	text string
	at   int
}

// peek returns the next byte; 0, which begins nothing in JSON, at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) skipSpace() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// skip passes over the byte c, if it is next.
func (s *scanner) skip(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// value reads any value; depth is the number of arrays and objects around it.
func (s *scanner) value(depth int) (token, bool) {
	switch c := s.peek(); {
	case c == '"':
		return s.string()
	case c == '-' || isDigit(c):
		return s.number()
	case c == '{':
		return token{kind: object}, s.object(depth+1, nil)
	case c == '[':
		return token{kind: other}, s.array(depth + 1)
	case c == 't':
		return token{kind: other}, s.literal("true")
	case c == 'f':
		return token{kind: other}, s.literal("false")
	default:
		return token{kind: other}, s.literal("null")
	}
}

// object reads an object. It puts the fields of an event into fields, unless that is nil.
func (s *scanner) object(depth int, fields *[fieldCount]token) bool {
	s.at++
	if depth > maxDepth {
		return false
	}
	s.skipSpace()
	if s.skip('}') {
		return true
	}
	for {
		s.skipSpace()
		key, ok := s.string()
		if !ok {
			return false
		}
		s.skipSpace()
		if !s.skip(':') {
			return false
		}
		s.skipSpace()
		member, ok := s.value(depth)
		if !ok {
			return false
		}
		if fields != nil {
			if field := fieldOf(key); field >= 0 {
				fields[field] = member // the last one counts
			}
		}
		s.skipSpace()
		if s.skip('}') {
			return true
		}
		if !s.skip(',') {
			return false
		}
	}
}

// fieldOf returns the field that a key names, or -1.
func fieldOf(key token) int {
	name, _ := key.text()
	switch name {
	case "ts":
		return ts
	case "type":
		return typ
	case "user":
		return user
	case "value":
		return value
	default:
		return -1
	}
}

func (s *scanner) array(depth int) bool {
	s.at++
	if depth > maxDepth {
		return false
	}
	s.skipSpace()
	if s.skip(']') {
		return true
	}
	for {
		s.skipSpace()
		if _, ok := s.value(depth); !ok {
			return false
		}
		s.skipSpace()
		if s.skip(']') {
			return true
		}
		if !s.skip(',') {
			return false
		}
	}
}

func (s *scanner) literal(word string) bool {
	if !strings.HasPrefix(s.text[s.at:], word) {
		return false
	}
	s.at += len(word)
	return true
}

func (s *scanner) string() (token, bool) {
	if !s.skip('"') {
		return token{}, false
	}
	start, found := s.at, text
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			raw := s.text[start:s.at]
			s.at++
			return token{found, raw}, true
		case c < ' ':
			return token{}, false
		case c == '\\':
			found = escaped
			s.at++
			if !s.escape() {
				return token{}, false
			}
		default:
			s.at++
		}
	}
	return token{}, false
}

// escape passes over what follows a backslash.
func (s *scanner) escape() bool {
	c := s.peek()
	s.at++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			if !isHex(s.peek()) {
				return false
			}
			s.at++
		}
		return true
	default:
		return false
	}
}

func (s *scanner) number() (token, bool) {
	start, found := s.at, integer
	s.skip('-')
	if !s.skip('0') && !s.digits() {
		return token{}, false
	}
	if s.skip('.') {
		found = decimal
		if !s.digits() {
			return token{}, false
		}
	}
	if s.skip('e') || s.skip('E') {
		found = decimal
		if !s.skip('+') {
			s.skip('-')
		}
		if !s.digits() {
			return token{}, false
		}
	}
	return token{found, s.text[start:s.at]}, true
}

// digits passes over digits and returns whether there are any.
func (s *scanner) digits() bool {
	start := s.at
	for isDigit(s.peek()) {
		s.at++
	}
	return s.at > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// unescape replaces the escapes of a string that was scanned; false if one of them is a
// lone surrogate.
func unescape(raw string) (string, bool) {
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		end := strings.IndexByte(raw, '\\')
		if end < 0 {
			out = append(out, raw...)
			break
		}
		out = append(out, raw[:end]...)
		code := raw[end+1]
		raw = raw[end+2:]
		if code != 'u' {
			out = append(out, escapes[code])
			continue
		}
		char := hex4(raw)
		raw = raw[4:]
		if utf16.IsSurrogate(char) {
			if !strings.HasPrefix(raw, `\u`) {
				return "", false
			}
			if char = utf16.DecodeRune(char, hex4(raw[2:])); char == utf8.RuneError {
				return "", false
			}
			raw = raw[6:]
		}
		out = utf8.AppendRune(out, char)
	}
	return string(out), true
}

var escapes = [256]byte{
	'"': '"', '\\': '\\', '/': '/',
	'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// hex4 returns the number that four hexadecimal digits stand for.
func hex4(text string) rune {
	number, _ := strconv.ParseUint(text[:4], 16, 32)
	return rune(number)
}
