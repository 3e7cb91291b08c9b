package events

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"pipeline/stages/go/internal/exact"
	"pipeline/stages/go/internal/golden"
	"pipeline/stages/go/internal/pb"
	"pipeline/stages/go/internal/stage"
)

func TestEveryLineIsReadOrRefusedForTheRightReason(t *testing.T) {
	var vectors []struct {
		Line          []byte
		Reason, Field string
		Event         *struct{ Ts, Type, User, Value string }
	}
	golden.Read(t, "event_lines", &vectors)
	for _, vector := range vectors {
		got, refused := readEvent(string(vector.Line))
		if want := (refusal{vector.Reason, vector.Field}); refused != want {
			t.Errorf("%q is refused for %v, want %v", vector.Line, refused, want)
		}
		if vector.Event == nil || refused.reason != "" {
			continue
		}
		value := strconv.FormatInt(got.value, 10)
		if got.ts != vector.Event.Ts || key(got.typ) != vector.Event.Type ||
			got.user != vector.Event.User || value != vector.Event.Value {
			t.Errorf("%q is read %+v, want %+v", vector.Line, got, *vector.Event)
		}
	}
}

func TestStagesAnswerAsTheVectorsSay(t *testing.T) {
	golden.CheckStages(t, "events", map[string]stage.Transform{
		"parse":     stage.NewTransform(Parse),
		"rules":     stage.NewTransform(Rules),
		"aggregate": stage.NewTransform(Aggregate),
	})
}

func TestResultsAreThoseOfTheVectors(t *testing.T) {
	golden.CheckResults(t, "events", NewTotalsByType)
}

func TestAveragesAreExactQuotientsRoundedOnce(t *testing.T) {
	var vectors []struct {
		Sum   string
		Count uint64
		Text  string
	}
	golden.Read(t, "averages", &vectors)
	for _, vector := range vectors {
		one := &total{count: vector.Count, sum: golden.Integer(t, vector.Sum)}
		average, err := quotient(one)
		if text := string(exact.AppendDouble(nil, average)); err != nil || text != vector.Text {
			t.Errorf("%s / %d is %s, want %s (%v)", vector.Sum, vector.Count, text, vector.Text, err)
		}
	}
}

func TestTheRulesKeepEventsOf10OrMoreThatAreNoViews(t *testing.T) {
	const click, view, purchase = pb.EventType_EVENT_TYPE_CLICK, pb.EventType_EVENT_TYPE_VIEW, pb.EventType_EVENT_TYPE_PURCHASE
	output, err := Rules(&pb.Events{
		Type:  []pb.EventType{click, click, view, purchase, purchase},
		Value: []int64{9, 10, 10, -10, 1 << 53},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &pb.Amounts{Type: []pb.EventType{click, purchase}, Value: []int64{10, 1 << 53}}
	if !proto.Equal(output.Message, want) || output.Records != 2 || output.Filtered != 3 {
		t.Errorf("the rules give %+v, want %v", output, want)
	}
}

func TestTotalsAreByAscendingType(t *testing.T) {
	const click, purchase = pb.EventType_EVENT_TYPE_CLICK, pb.EventType_EVENT_TYPE_PURCHASE
	output, err := Aggregate(&pb.Amounts{
		Type:  []pb.EventType{purchase, click, purchase},
		Value: []int64{-1, 255, -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &pb.Totals{Totals: []*pb.Total{
		{Type: click, Count: 1, Sum: []byte{0, 255}}, {Type: purchase, Count: 2, Sum: []byte{0xfe}},
	}}
	if !proto.Equal(output.Message, want) || output.Records != 3 {
		t.Errorf("aggregate gives %+v, want %v", output, want)
	}
}

func TestTheResultIsSortedByKey(t *testing.T) {
	result := NewTotalsByType()
	for _, typ := range []pb.EventType{3, 2, 1} {
		if _, err := result.Add(&pb.Totals{Totals: []*pb.Total{{Type: typ, Count: 3, Sum: []byte{20}}}}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := result.Finish()
	want := `{"key":"click","count":3,"sum":20,"avg":6.666666666666667}` + "\n" +
		`{"key":"purchase","count":3,"sum":20,"avg":6.666666666666667}` + "\n" +
		`{"key":"view","count":3,"sum":20,"avg":6.666666666666667}` + "\n"
	if err != nil || string(text) != want {
		t.Errorf("the result is %s (%v), want %s", text, err, want)
	}
}

func TestSumsBeyond64BitsAreExact(t *testing.T) {
	amounts := new(pb.Amounts)
	for range 3 {
		for _, value := range []int64{math.MaxInt64, math.MinInt64, math.MinInt64} {
			amounts.Type = append(amounts.Type, pb.EventType_EVENT_TYPE_CLICK)
			amounts.Value = append(amounts.Value, value)
		}
	}
	output, err := Aggregate(amounts)
	if err != nil {
		t.Fatal(err)
	}
	got := exact.Integer(output.Message.(*pb.Totals).Totals[0].Sum)
	if want := golden.Integer(t, "-27670116110564327427"); got.Cmp(want) != 0 {
		t.Errorf("the sum is %s, want %s", got, want)
	}
}

func TestColumnsThatContradictEachOtherFailTheStage(t *testing.T) {
	_, err := Rules(&pb.Events{Type: []pb.EventType{1, 2}, Value: []int64{1}})
	if err == nil || err.Error() != "Events.value has 1 values, not 2" {
		t.Errorf("Rules says %v", err)
	}
	if _, err = Aggregate(&pb.Amounts{Value: []int64{1}}); err == nil {
		t.Error("Aggregate takes a value without a type")
	}
}

func TestALineThatIsTooLongIsRejectedByItsRecordNumber(t *testing.T) {
	output, err := Parse(&pb.Lines{FirstRecord: 7, Text: []byte("\n\n"), TooLong: []uint64{1}})
	if err != nil {
		t.Fatal(err)
	}
	want := &pb.Rejection{Record: 8, Reason: "line_too_long"}
	if got := output.Rejections[1]; !proto.Equal(got, want) {
		t.Errorf("the second line is rejected as %v, want %v", got, want)
	}
}

func TestATotalThatNoResultCanHoldFailsTheResult(t *testing.T) {
	for _, wrong := range []*pb.Total{
		{Type: 99, Count: 1, Sum: []byte{1}},
		{Type: pb.EventType_EVENT_TYPE_CLICK, Count: 0, Sum: []byte{1}},
		{Type: pb.EventType_EVENT_TYPE_CLICK, Count: 1, Sum: []byte("\x01" + strings.Repeat("\x00", 200))},
	} {
		result := NewTotalsByType()
		if _, err := result.Add(&pb.Totals{Totals: []*pb.Total{wrong}}); err != nil {
			t.Fatal(err)
		}
		if text, err := result.Finish(); err == nil {
			t.Errorf("%v gives %s", wrong, text)
		}
	}
}

func FuzzAnyLineIsReadOrRefused(f *testing.F) {
	f.Add(`{"ts":"2026-01-01T00:00:00Z","type":"click","user":"\u00e9","value":1.5e1}`)
	f.Add(`{"ts":"2026-01-01T00:00:00Z","type":"click","user":"\ud83d\u`)
	f.Fuzz(func(t *testing.T, line string) {
		readEvent(line) // must not panic
	})
}

func BenchmarkParse(b *testing.B) {
	line := `{"ts":"2026-01-01T00:00:00.000Z","type":"click","user":"user-00867","value":17,"metadata":{"page":113,"scroll":1}}` + "\n"
	lines := &pb.Lines{FirstRecord: 1, Text: []byte(strings.Repeat(line, 1000))}
	b.SetBytes(int64(len(lines.Text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(lines); err != nil {
			b.Fatal(err)
		}
	}
}
