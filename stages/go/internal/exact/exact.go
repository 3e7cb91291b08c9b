// Package exact writes numbers as every implementation of the pipeline writes them.
package exact

import (
	"bytes"
	"math"
	"math/big"
	"strconv"
)

var one = big.NewInt(1)

// IntegerBytes returns x as two's complement, big-endian, in the fewest bytes that hold
// its sign.
func IntegerBytes(x *big.Int) []byte {
	// A negative number needs as many bits as its complement.
	magnitude := x
	if x.Sign() < 0 {
		magnitude = new(big.Int).Not(x)
	}
	size := magnitude.BitLen()/8 + 1
	if x.Sign() >= 0 {
		return x.FillBytes(make([]byte, size))
	}
	modulus := new(big.Int).Lsh(one, uint(8*size))
	return modulus.Add(modulus, x).FillBytes(make([]byte, size))
}

// Integer returns the integer that IntegerBytes has written; no bytes are 0.
func Integer(data []byte) *big.Int {
	x := new(big.Int).SetBytes(data)
	if len(data) > 0 && data[0] >= 0x80 {
		x.Sub(x, new(big.Int).Lsh(one, uint(8*len(data))))
	}
	return x
}

// AppendDouble appends x in the fewest digits that read back as x, as Python's repr
// writes it.
func AppendDouble(text []byte, x float64) []byte {
	magnitude := math.Abs(x)
	if x != 0 && !(1e-4 <= magnitude && magnitude < 1e16) {
		return strconv.AppendFloat(text, x, 'e', -1, 64)
	}
	start := len(text)
	text = strconv.AppendFloat(text, x, 'f', -1, 64)
	if !bytes.ContainsRune(text[start:], '.') {
		text = append(text, ".0"...)
	}
	return text
}
