// Package items has the stage functions and the result of the workload work-items. The
// order of every operation is in work_items.proto.
package items

import (
	"cmp"
	"errors"
	"math"

	"pipeline/stages/go/internal/pb"
	"pipeline/stages/go/internal/stage"
)

const (
	featureCount = 5
	// finalIterations are those of the final score.
	finalIterations = 50
)

// maxScore is the largest magnitude of a final score, 2^960. The sum of 2^63 of them is
// still a double.
var maxScore = math.Ldexp(1, 960)

// Parse normalises the vectors of every item, transposes its matrix and computes a
// checksum, or rejects the item.
func Parse(items *pb.WorkItems) (stage.Output, error) {
	count, values, squares := sizes(items.Size)
	if err := cmp.Or(
		stage.CheckColumn("WorkItems.record", items.Record, count),
		stage.CheckColumn("WorkItems.id", items.Id, count),
		stage.CheckColumn("WorkItems.first", items.First, values),
		stage.CheckColumn("WorkItems.second", items.Second, values),
		stage.CheckColumn("WorkItems.matrix", items.Matrix, squares),
		stage.CheckColumn("WorkItems.text", items.Text, count),
		stage.CheckColumn("WorkItems.iterations", items.Iterations, count),
	); err != nil {
		return stage.Output{}, err
	}
	parsed := &pb.ParsedItems{
		Record:     make([]uint64, 0, count),
		Id:         make([]uint64, 0, count),
		Size:       make([]uint32, 0, count),
		Iterations: make([]uint32, 0, count),
		Normalised: make([]float64, 0, 2*values),
		Matrix:     make([]float64, 0, squares),
		Checksum:   make([]float64, 0, count),
	}
	var rejections []*pb.Rejection
	var works []float64
	firsts, seconds, matrices := items.First, items.Second, items.Matrix
	for i, size := range items.Size {
		n := int(size)
		var first, second, matrix []float64
		first, firsts = firsts[:n], firsts[n:]
		second, seconds = seconds[:n], seconds[n:]
		matrix, matrices = matrices[:n*n], matrices[n*n:]
		if reason, field := refuse(first, second, matrix); reason != "" {
			rejections = append(rejections, rejection(items.Record[i], reason, field))
			continue
		}
		start := len(parsed.Normalised)
		parsed.Normalised = appendNormalised(parsed.Normalised, first)
		parsed.Normalised = appendNormalised(parsed.Normalised, second)
		normalised := parsed.Normalised[start:]
		works = append(works[:0], normalised...) // as long as normalised
		workOnEach(works, normalised, items.Iterations[i])
		parsed.Record = append(parsed.Record, items.Record[i])
		parsed.Id = append(parsed.Id, items.Id[i])
		parsed.Size = append(parsed.Size, size)
		parsed.Iterations = append(parsed.Iterations, items.Iterations[i])
		for column := range n {
			for row := range n {
				parsed.Matrix = append(parsed.Matrix, matrix[row*n+column])
			}
		}
		parsed.Checksum = append(parsed.Checksum, sum(works))
	}
	return stage.Output{Message: parsed, Records: len(parsed.Id), Rejections: rejections}, nil
}

// refuse returns why an item is rejected; the reason is empty if it is not.
func refuse(first, second, matrix []float64) (reason, field string) {
	switch {
	case len(first) == 0:
		return "empty_vector", ""
	case !areFinite(first):
		return "not_finite", "first"
	case !areFinite(second):
		return "not_finite", "second"
	case !areFinite(matrix):
		return "not_finite", "matrix"
	case !isFinite(sumOfSquares(first)):
		return "out_of_range", "first"
	case !isFinite(sumOfSquares(second)):
		return "out_of_range", "second"
	default:
		return "", ""
	}
}

// appendNormalised appends a vector divided by its norm, or as it is if that is 0.
func appendNormalised(normalised, vector []float64) []float64 {
	norm := math.Sqrt(sumOfSquares(vector))
	if norm == 0 {
		return append(normalised, vector...)
	}
	for _, value := range vector {
		normalised = append(normalised, value/norm)
	}
	return normalised
}

// Rules computes the features and the score of every item; it rejects those that are too
// large for a double.
func Rules(items *pb.ParsedItems) (stage.Output, error) {
	count, values, squares := sizes(items.Size)
	for _, size := range items.Size {
		if size == 0 {
			return stage.Output{}, errors.New("ParsedItems.size has a 0, which parse refuses")
		}
	}
	if err := cmp.Or(
		stage.CheckColumn("ParsedItems.record", items.Record, count),
		stage.CheckColumn("ParsedItems.id", items.Id, count),
		stage.CheckColumn("ParsedItems.iterations", items.Iterations, count),
		stage.CheckColumn("ParsedItems.normalised", items.Normalised, 2*values),
		stage.CheckColumn("ParsedItems.matrix", items.Matrix, squares),
		stage.CheckColumn("ParsedItems.checksum", items.Checksum, count),
	); err != nil {
		return stage.Output{}, err
	}
	scored := new(pb.ScoredItems)
	var rejections []*pb.Rejection
	allNormalised, matrices := items.Normalised, items.Matrix
	for i, size := range items.Size {
		n := int(size)
		var normalised, matrix []float64
		normalised, allNormalised = allNormalised[:2*n], allNormalised[2*n:]
		matrix, matrices = matrices[:n*n], matrices[n*n:]
		matrixTotal := sum(matrix)
		mean := sum(normalised) / float64(2*n)
		score := work((items.Checksum[i]+matrixTotal)+mean, items.Iterations[i])
		if !isFinite(matrixTotal) {
			rejections = append(rejections, rejection(items.Record[i], "out_of_range", "matrix_total"))
			continue
		}
		if !isFinite(score) {
			rejections = append(rejections, rejection(items.Record[i], "out_of_range", "score"))
			continue
		}
		scored.Record = append(scored.Record, items.Record[i])
		scored.Id = append(scored.Id, items.Id[i])
		scored.Mean = append(scored.Mean, mean)
		scored.Deviation = append(scored.Deviation, deviation(normalised, mean))
		var features [featureCount]float64
		copy(features[:], normalised)
		scored.Features = append(scored.Features, features[:]...)
		scored.MatrixTotal = append(scored.MatrixTotal, matrixTotal)
		scored.Score = append(scored.Score, score)
	}
	return stage.Output{Message: scored, Records: len(scored.Id), Rejections: rejections}, nil
}

// deviation returns the population standard deviation of values with the given mean.
func deviation(values []float64, mean float64) float64 {
	squares := 0.0
	for _, value := range values {
		distance := value - mean
		squares += float64(distance * distance)
	}
	return math.Sqrt(squares / float64(len(values)))
}

// Aggregate finishes the scores and totals them; it rejects those that are too large.
func Aggregate(items *pb.ScoredItems) (stage.Output, error) {
	count := uint64(len(items.Id))
	if err := cmp.Or(
		stage.CheckColumn("ScoredItems.record", items.Record, count),
		stage.CheckColumn("ScoredItems.mean", items.Mean, count),
		stage.CheckColumn("ScoredItems.deviation", items.Deviation, count),
		stage.CheckColumn("ScoredItems.features", items.Features, featureCount*count),
		stage.CheckColumn("ScoredItems.matrix_total", items.MatrixTotal, count),
		stage.CheckColumn("ScoredItems.score", items.Score, count),
	); err != nil {
		return stage.Output{}, err
	}
	scores := new(pb.Scores)
	var rejections []*pb.Rejection
	for i, record := range items.Record {
		final := finalScore(items.Score[i], items.Features[featureCount*i:featureCount*(i+1)])
		if !(math.Abs(final) <= maxScore) { // NaN, too
			rejections = append(rejections, rejection(record, "out_of_range", "final_score"))
			continue
		}
		scores.Record = append(scores.Record, record)
		scores.Id = append(scores.Id, items.Id[i])
		scores.FinalScore = append(scores.FinalScore, final)
	}
	scores.Totals = totalsOf(scores.FinalScore)
	return stage.Output{Message: scores, Records: len(scores.Id), Rejections: rejections}, nil
}

func finalScore(score float64, features []float64) float64 {
	neighbours := 0.0
	for i, next := range features[1:] {
		neighbours += math.Abs(float64(features[i] * next))
	}
	return work(score+sum(features), finalIterations) + float64(0.1*neighbours)
}

// sizes returns how many items there are, and values in their vectors and matrices. The
// number of values in matrices can't wrap once that of vectors is known to be right.
func sizes(each []uint32) (count, values, squares uint64) {
	for _, size := range each {
		values += uint64(size)
		squares += uint64(size) * uint64(size)
	}
	return uint64(len(each)), values, squares
}

func rejection(record uint64, reason, field string) *pb.Rejection {
	return &pb.Rejection{Record: record, Reason: reason, Field: field}
}
