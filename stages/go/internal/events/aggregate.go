package events

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"pipeline/stages/go/internal/exact"
	"pipeline/stages/go/internal/pb"
	"pipeline/stages/go/internal/stage"
)

// Aggregate counts and sums the values of each type.
func Aggregate(amounts *pb.Amounts) (stage.Output, error) {
	count := len(amounts.Type)
	if err := stage.CheckColumn("Amounts.value", amounts.Value, uint64(count)); err != nil {
		return stage.Output{}, err
	}
	sums := make(map[pb.EventType]*sum)
	for i, typ := range amounts.Type {
		one := sums[typ]
		if one == nil {
			one = new(sum)
			sums[typ] = one
		}
		one.add(amounts.Value[i])
	}
	totals := new(pb.Totals)
	for _, typ := range slices.Sorted(maps.Keys(sums)) {
		one := sums[typ]
		totals.Totals = append(totals.Totals, &pb.Total{
			Type:  typ,
			Count: one.count,
			Sum:   exact.IntegerBytes(one.integer()),
		})
	}
	return stage.Output{Message: totals, Records: count}, nil
}

// A sum has 128 bits, since 64 can overflow with 1,024 values.
type sum struct {
	count uint64
	low   uint64
	high  int64
}

func (s *sum) add(value int64) {
	var carry uint64
	s.count++
	s.low, carry = bits.Add64(s.low, uint64(value), 0)
	s.high += value>>63 + int64(carry)
}

func (s *sum) integer() *big.Int {
	integer := big.NewInt(s.high)
	integer.Lsh(integer, 64)
	return integer.Add(integer, new(big.Int).SetUint64(s.low))
}

// TotalsByType is the accumulator of events. Its result is one JSON line a type.
type TotalsByType struct {
	totals map[pb.EventType]*total
}

type total struct {
	count uint64
	sum   *big.Int
}

// NewTotalsByType returns the accumulator of a run.
func NewTotalsByType() stage.Accumulator {
	return &TotalsByType{make(map[pb.EventType]*total)}
}

// New implements stage.Accumulator.
func (*TotalsByType) New() proto.Message { return new(pb.Totals) }

// Add merges totals; no bytes are final before the end.
func (t *TotalsByType) Add(message proto.Message) ([]byte, error) {
	for _, added := range message.(*pb.Totals).Totals {
		one := t.totals[added.Type]
		if one == nil {
			one = &total{sum: new(big.Int)}
			t.totals[added.Type] = one
		}
		count, overflow := bits.Add64(one.count, added.Count, 0)
		if overflow != 0 {
			return nil, errors.New("the counts of a type exceed 64 bits")
		}
		one.count = count
		one.sum.Add(one.sum, exact.Integer(added.Sum))
	}
	return nil, nil
}

// Records implements stage.Accumulator.
func (t *TotalsByType) Records() uint64 {
	var records uint64
	for _, one := range t.totals {
		sum, overflow := bits.Add64(records, one.count, 0)
		if overflow != 0 {
			return math.MaxUint64 // no run has so many, so its commit won't match
		}
		records = sum
	}
	return records
}

// Finish returns the lines, sorted by key. Averages are exact quotients, rounded once.
func (t *TotalsByType) Finish() ([]byte, error) {
	types := slices.SortedFunc(maps.Keys(t.totals), func(one, other pb.EventType) int {
		return cmp.Compare(key(one), key(other))
	})
	var lines []byte
	for _, typ := range types {
		if _, known := pb.EventType_name[int32(typ)]; !known {
			return nil, fmt.Errorf("there is no event type %d", typ)
		}
		average, err := quotient(t.totals[typ])
		if err != nil {
			return nil, err
		}
		lines = fmt.Appendf(lines, `{"key":"%s","count":%d,"sum":%s,"avg":`,
			key(typ), t.totals[typ].count, t.totals[typ].sum)
		lines = append(exact.AppendDouble(lines, average), "}\n"...)
	}
	return lines, nil
}

func quotient(one *total) (float64, error) {
	if one.count == 0 {
		return 0, errors.New("a total has a count of 0")
	}
	count := new(big.Int).SetUint64(one.count)
	average, _ := new(big.Rat).SetFrac(one.sum, count).Float64()
	if math.IsInf(average, 0) {
		return 0, errors.New("an average is too large for a double")
	}
	return average, nil
}

func key(typ pb.EventType) string {
	return strings.ToLower(strings.TrimPrefix(typ.String(), "EVENT_TYPE_"))
}
