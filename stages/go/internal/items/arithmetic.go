package items

import "math"

// Go may fuse a multiplication and an addition on some processors, which rounds once
// instead of twice. The conversion float64(a*b) prevents that.

// sum adds from left to right, starting at +0.
func sum(values []float64) float64 {
	total := 0.0
	for _, value := range values {
		total += value
	}
	return total
}

// sumOfSquares adds the squares from left to right.
func sumOfSquares(values []float64) float64 {
	total := 0.0
	for _, value := range values {
		total += float64(value * value)
	}
	return total
}

// work returns the sum of value · c_i for i from 1 to iterations.
func work(value float64, iterations uint32) float64 {
	total := 0.0
	for i := uint32(0); i < iterations; i++ {
		total += float64(value * factor(i))
	}
	return total
}

// workOnEach puts the work of each value into totals, a slice of the same length. It
// computes the terms of all values side by side, since an addition does not have to wait
// for that of another value.
func workOnEach(totals, values []float64, iterations uint32) {
	totals = totals[:len(values)] // so that the loop needs no bounds checks
	clear(totals)
	for i := uint32(0); i < iterations; i++ {
		c := factor(i)
		for k, value := range values {
			totals[k] += float64(value * c)
		}
	}
}

// factor returns the factor c of the contract for position i, counted from 0 here.
func factor(i uint32) float64 {
	return float64((float64(i) + 1) * 0.001)
}

func isFinite(value float64) bool {
	return !math.IsNaN(value) && !math.IsInf(value, 0)
}

func areFinite(values []float64) bool {
	for _, value := range values {
		if !isFinite(value) {
			return false
		}
	}
	return true
}
