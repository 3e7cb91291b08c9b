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

func TestColumnsThatContradictEachOtherFailTheStage(t *testing.T) {
	item := func() *pb.WorkItems {
		return &pb.WorkItems{
			Record: []uint64{1}, Id: []uint64{1}, Size: []uint32{1}, First: []float64{1},
			Second: []float64{1}, Matrix: []float64{1}, Text: []string{""}, Iterations: []uint32{1},
		}
	}
	if _, err := Parse(item()); err != nil {
		t.Fatal(err)
	}
	// The squares of these sizes add up to 2^64, which wraps to 0.
	wrapping := item()
	wrapping.Size = []uint32{1 << 31, 1 << 31, 1 << 31, 1 << 31}
	wrapping.Record, wrapping.Id = make([]uint64, 4), make([]uint64, 4)
	short := item()
	short.Matrix = nil
	for _, wrong := range []*pb.WorkItems{wrapping, short} {
		if _, err := Parse(wrong); err == nil {
			t.Errorf("Parse takes %v", wrong)
		}
	}
	if _, err := Rules(&pb.ParsedItems{Size: []uint32{0}}); err == nil {
		t.Error("Rules takes an item of size 0")
	}
	if _, err := Aggregate(&pb.ScoredItems{Id: []uint64{1}}); err == nil {
		t.Error("Aggregate takes an item without a score")
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
