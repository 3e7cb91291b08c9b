// Package events has the stage functions and the result of the workload events: JSON
// lines to count, sum and average by type.
package events

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"pipeline/stages/go/internal/pb"
	"pipeline/stages/go/internal/stage"
)

// maxValue is the largest magnitude of a value. Doubles hold every integer up to it.
const maxValue = 1 << 53

type event struct {
	ts, user string
	typ      pb.EventType
	value    int64
}

// A refusal says why a line is rejected. An empty reason means that it is not.
type refusal struct{ reason, field string }

// Parse reads every line as an event, or rejects it.
func Parse(lines *pb.Lines) (stage.Output, error) {
	// Events refer to this one copy of the text, so most lines need no memory of their own.
	text := string(lines.Text)
	count := strings.Count(text, "\n")
	events := &pb.Events{
		Ts:    make([]string, 0, count),
		Type:  make([]pb.EventType, 0, count),
		User:  make([]string, 0, count),
		Value: make([]int64, 0, count),
	}
	var rejections []*pb.Rejection
	tooLong := make(map[uint64]bool, len(lines.TooLong))
	for _, position := range lines.TooLong {
		tooLong[position] = true
	}
	for position := range uint64(count) {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		one, refused := event{}, refusal{reason: "line_too_long"}
		if len(tooLong) == 0 || !tooLong[position] {
			one, refused = readEvent(line)
		}
		if refused.reason != "" {
			rejections = append(rejections, &pb.Rejection{
				Record: lines.FirstRecord + position,
				Reason: refused.reason,
				Field:  refused.field,
			})
			continue
		}
		events.Ts = append(events.Ts, one.ts)
		events.Type = append(events.Type, one.typ)
		events.User = append(events.User, one.user)
		events.Value = append(events.Value, one.value)
	}
	return stage.Output{Message: events, Records: len(events.Ts), Rejections: rejections}, nil
}

// readEvent reads one line, without LF and not too long.
func readEvent(line string) (event, refusal) {
	if !utf8.ValidString(line) {
		return event{}, refusal{reason: "not_utf8"}
	}
	if strings.Trim(line, " \t\r") == "" {
		return event{}, refusal{reason: "blank_line"}
	}
	fields, isObject, ok := scanLine(line)
	if !ok {
		return event{}, refusal{reason: "malformed_json"}
	}
	if !isObject {
		return event{}, refusal{reason: "not_an_object"}
	}
	var texts [value]string
	for field := ts; field < value; field++ {
		if fields[field].kind == absent {
			return event{}, refusal{"missing_field", fieldNames[field]}
		}
		text, isText := fields[field].text()
		if !isText {
			return event{}, refusal{"wrong_type", fieldNames[field]}
		}
		texts[field] = text
	}
	number := fields[value]
	switch number.kind {
	case absent:
		return event{}, refusal{"missing_field", "value"}
	case integer, decimal:
	default:
		return event{}, refusal{"wrong_type", "value"}
	}
	if !isTimestamp(texts[ts]) {
		return event{}, refusal{"bad_timestamp", "ts"}
	}
	one := event{ts: texts[ts], user: texts[user]}
	switch texts[typ] {
	case "click":
		one.typ = pb.EventType_EVENT_TYPE_CLICK
	case "view":
		one.typ = pb.EventType_EVENT_TYPE_VIEW
	case "purchase":
		one.typ = pb.EventType_EVENT_TYPE_PURCHASE
	default:
		return event{}, refusal{"unknown_type", "type"}
	}
	var inRange bool
	if one.value, inRange = number.value(); !inRange {
		return event{}, refusal{"out_of_range", "value"}
	}
	return one, refusal{}
}

// value returns a number truncated toward zero, and whether it is in range.
func (t token) value() (int64, bool) {
	if t.kind == integer {
		// An integer too long for int64 is out of range as well.
		number, err := strconv.ParseInt(t.raw, 10, 64)
		return number, err == nil && -maxValue <= number && number <= maxValue
	}
	// Beyond the largest double, ParseFloat returns an infinity beside its error.
	number, _ := strconv.ParseFloat(t.raw, 64)
	if math.Abs(number) > maxValue {
		return 0, false
	}
	return int64(number), true
}
