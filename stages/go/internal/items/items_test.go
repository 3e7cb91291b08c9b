package items

import (
	"math"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	"pipeline/stages/go/internal/exact"
	"pipeline/stages/go/internal/golden"
	"pipeline/stages/go/internal/pb"
	"pipeline/stages/go/internal/stage"
)

func TestStagesAnswerAsTheVectorsSay(t *testing.T) {
	golden.CheckStages(t, "work-items", map[string]stage.Transform{
		"parse":     stage.NewTransform(Parse),
		"rules":     stage.NewTransform(Rules),
		"aggregate": stage.NewTransform(Aggregate),
	})
}

func TestResultsAreThoseOfTheVectors(t *testing.T) {
	golden.CheckResults(t, "work-items", NewScores)
}

func TestTotalsAreExactAndTheSameInAnyGrouping(t *testing.T) {
	var vectors []struct {
		FinalScores []string `json:"final_scores"`
		Totals      []byte
		Total       string
	}
	golden.Read(t, "totals", &vectors)
	for _, vector := range vectors {
		scores := make([]float64, len(vector.FinalScores))
		for i, bits := range vector.FinalScores {
			number, err := strconv.ParseUint(bits, 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			scores[i] = math.Float64frombits(number)
		}
		want := new(pb.ScoreTotals)
		if err := proto.Unmarshal(vector.Totals, want); err != nil {
			t.Fatal(err)
		}
		if got := totalsOf(scores); !proto.Equal(got, want) {
			t.Errorf("the totals of %v are %v, want %v", scores, got, want)
		}
		var merged totals
		for _, part := range [][]float64{scores[len(scores)/3:], scores[:len(scores)/3]} {
			if err := merged.merge(totalsOf(part)); err != nil {
				t.Fatal(err)
			}
		}
		if got := merged.message(); !proto.Equal(got, want) {
			t.Errorf("the merged totals of %v are %v, want %v", scores, got, want)
		}
		if text := string(exact.AppendDouble(nil, merged.total())); text != vector.Total {
			t.Errorf("the total of %v is %s, want %s", scores, text, vector.Total)
		}
	}
}

func TestFactorsAreProductsAndNotQuotients(t *testing.T) {
	// 9 / 1000 is 0.009, but the contract has 9 · 0.001.
	if factor(8) != 0.009000000000000001 {
		t.Errorf("the ninth factor is %v", factor(8))
	}
}

func TestEveryColumnMustHaveItsLength(t *testing.T) {
	work := &pb.WorkItems{
		Record: []uint64{1}, Id: []uint64{1}, Size: []uint32{1}, First: []float64{1},
		Second: []float64{1}, Matrix: []float64{1}, Text: []string{""}, Iterations: []uint32{1},
	}
	parsed := apply(t, Parse, work).(*pb.ParsedItems)
	scored := apply(t, Rules, parsed).(*pb.ScoredItems)
	scores := apply(t, Aggregate, scored).(*pb.Scores)
	checkColumns(t, work, stage.NewTransform(Parse).Apply)
	checkColumns(t, parsed, stage.NewTransform(Rules).Apply)
	checkColumns(t, scored, stage.NewTransform(Aggregate).Apply)
	checkColumns(t, scores, func(message proto.Message) (stage.Output, error) {
		_, err := NewScores().Add(message)
		return stage.Output{}, err
	})
}

func apply[M proto.Message](t *testing.T, function func(M) (stage.Output, error), message M) proto.Message {
	t.Helper()
	output, err := function(message)
	if err != nil {
		t.Fatal(err)
	}
	return output.Message
}

// checkColumns checks that a message is refused if any one of its columns is empty.
func checkColumns(t *testing.T, message proto.Message, function func(proto.Message) (stage.Output, error)) {
	t.Helper()
	fields := message.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if !fields.Get(i).IsList() {
			continue
		}
		wrong := proto.Clone(message)
		wrong.ProtoReflect().Clear(fields.Get(i))
		if _, err := function(wrong); err == nil {
			t.Errorf("it takes an empty %s", fields.Get(i).FullName())
		}
	}
}

func TestSizesWhoseSquaresWrapAreRefused(t *testing.T) {
	// The squares add up to 2^64, which wraps to 0.
	wrapping := &pb.WorkItems{
		Record: make([]uint64, 4), Id: make([]uint64, 4), Text: make([]string, 4), Iterations: make([]uint32, 4),
		Size: []uint32{1 << 31, 1 << 31, 1 << 31, 1 << 31},
	}
	if _, err := Parse(wrapping); err == nil {
		t.Error("Parse takes sizes without values")
	}
}

func TestAnItemOfSize0FailsTheRules(t *testing.T) {
	one, none := []uint64{1}, []uint32{0}
	_, err := Rules(&pb.ParsedItems{
		Record: one, Id: one, Size: none, Iterations: none, Checksum: []float64{1},
	})
	if err == nil {
		t.Error("Rules takes an item of size 0")
	}
}

func TestTotalsThatContradictTheScoresFailTheResult(t *testing.T) {
	one := []uint64{1}
	for _, wrong := range []*pb.Scores{
		{Record: one, Id: one, FinalScore: []float64{1}},
		{Record: one, Id: one, FinalScore: []float64{1}, Totals: &pb.ScoreTotals{Count: 1, Scale: 1 << 31}},
	} {
		if _, err := NewScores().Add(wrong); err == nil {
			t.Errorf("Add takes %v", wrong)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	const n = 10
	items := new(pb.WorkItems)
	for i := range uint64(100) {
		items.Record = append(items.Record, i)
		items.Id = append(items.Id, i)
		items.Size = append(items.Size, n)
		items.Iterations = append(items.Iterations, 1000)
		items.Text = append(items.Text, "")
	}
	items.First = make([]float64, 100*n)
	items.Second = make([]float64, 100*n)
	items.Matrix = make([]float64, 100*n*n)
	for b.Loop() {
		if _, err := Parse(items); err != nil {
			b.Fatal(err)
		}
	}
}
