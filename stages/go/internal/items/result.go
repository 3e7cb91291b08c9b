package items

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"

	"google.golang.org/protobuf/proto"

	"pipeline/stages/go/internal/exact"
	"pipeline/stages/go/internal/pb"
	"pipeline/stages/go/internal/stage"
)

// Sums are kept as integers in units of the smallest double above 0, 2^-unitScale.
const unitScale = 1074

var errNotFinite = errors.New("Scores has a value that is not finite")

var perOne = new(big.Int).Lsh(big.NewInt(1), unitScale)

// totals are count, exact sum and extremes: a commutative monoid, its zero without scores.
type totals struct {
	count            uint64
	units            big.Int
	minimum, maximum float64
}

// add adds a finite score.
func (t *totals) add(score float64, term *big.Int) {
	fraction, exponent := math.Frexp(score)
	// The fraction has 53 bits, so the product is an integer. A score below 2^-1022 has
	// fewer, so that nothing is lost where the shift is to the right.
	term.SetInt64(int64(fraction * (1 << 53)))
	if shift := exponent - 53 + unitScale; shift >= 0 {
		term.Lsh(term, uint(shift))
	} else {
		term.Rsh(term, uint(-shift))
	}
	t.units.Add(&t.units, term)
	t.widen(score, score)
	t.count++
}

// merge adds the totals of other scores.
func (t *totals) merge(other *pb.ScoreTotals) error {
	if other.GetCount() == 0 {
		return nil
	}
	if other.Scale > unitScale {
		return fmt.Errorf("ScoreTotals.scale is %d, over %d", other.Scale, unitScale)
	}
	count, overflow := bits.Add64(t.count, other.Count, 0)
	if overflow != 0 {
		return errors.New("the counts of the totals exceed 64 bits")
	}
	numerator := exact.Integer(other.Numerator)
	t.units.Add(&t.units, numerator.Lsh(numerator, uint(unitScale-other.Scale)))
	t.widen(other.Minimum, other.Maximum)
	t.count = count
	return nil
}

func (t *totals) widen(minimum, maximum float64) {
	if t.count == 0 || minimum < t.minimum {
		t.minimum = minimum
	}
	if t.count == 0 || maximum > t.maximum {
		t.maximum = maximum
	}
}

// message returns the totals with their sum in lowest terms.
func (t *totals) message() *pb.ScoreTotals {
	if t.count == 0 {
		return new(pb.ScoreTotals)
	}
	scale := uint(0)
	if zeros := t.units.TrailingZeroBits(); t.units.Sign() != 0 && zeros < unitScale {
		scale = unitScale - zeros
	}
	return &pb.ScoreTotals{
		Count:     t.count,
		Numerator: exact.IntegerBytes(new(big.Int).Rsh(&t.units, unitScale-scale)),
		Scale:     uint32(scale),
		Minimum:   t.minimum,
		Maximum:   t.maximum,
	}
}

// total returns the exact sum, rounded once.
func (t *totals) total() float64 {
	total, _ := new(big.Rat).SetFrac(&t.units, perOne).Float64()
	return total
}

func totalsOf(scores []float64) *pb.ScoreTotals {
	var all totals
	var term big.Int
	for _, score := range scores {
		all.add(score, &term)
	}
	return all.message()
}

// Scores is the accumulator of work-items. Its result is one JSON line an item, and then
// one of the totals.
type Scores struct {
	totals totals
}

// NewScores returns the accumulator of a run.
func NewScores() stage.Accumulator { return new(Scores) }

// New implements stage.Accumulator.
func (*Scores) New() proto.Message { return new(pb.Scores) }

// Add merges the totals and returns the lines of the items.
func (s *Scores) Add(message proto.Message) ([]byte, error) {
	scores := message.(*pb.Scores)
	count := scores.Totals.GetCount()
	if err := cmp.Or(
		stage.CheckColumn("Scores.record", scores.Record, count),
		stage.CheckColumn("Scores.id", scores.Id, count),
		stage.CheckColumn("Scores.final_score", scores.FinalScore, count),
	); err != nil {
		return nil, err
	}
	for _, score := range scores.FinalScore {
		if !isFinite(score) {
			return nil, errNotFinite
		}
	}
	if !isFinite(scores.Totals.GetMinimum()) || !isFinite(scores.Totals.GetMaximum()) {
		return nil, errNotFinite
	}
	if err := s.totals.merge(scores.Totals); err != nil {
		return nil, err
	}
	lines := make([]byte, 0, 48*len(scores.Id))
	for i, id := range scores.Id {
		lines = append(lines, `{"id":`...)
		lines = strconv.AppendUint(lines, id, 10)
		lines = append(lines, `,"score":`...)
		lines = exact.AppendDouble(lines, scores.FinalScore[i])
		lines = append(lines, "}\n"...)
	}
	return lines, nil
}

// Records implements stage.Accumulator.
func (s *Scores) Records() uint64 { return s.totals.count }

// Finish returns the line of totals; no line if there are no items.
func (s *Scores) Finish() ([]byte, error) {
	if s.totals.count == 0 {
		return nil, nil
	}
	total := s.totals.total()
	if !isFinite(total) {
		return nil, errors.New("the total of the final scores is too large for a double")
	}
	line := fmt.Appendf(nil, `{"count":%d,"total":`, s.totals.count)
	line = exact.AppendDouble(line, total)
	line = append(line, `,"min":`...)
	line = exact.AppendDouble(line, s.totals.minimum)
	line = append(line, `,"max":`...)
	line = exact.AppendDouble(line, s.totals.maximum)
	return append(line, "}\n"...), nil
}
