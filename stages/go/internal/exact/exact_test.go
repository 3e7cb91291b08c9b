package exact_test

import (
	"encoding/hex"
	"math"
	"math/big"
	"strconv"
	"testing"

	"pipeline/stages/go/internal/exact"
	"pipeline/stages/go/internal/golden"
)

func TestDoublesAreWrittenAsPythonWritesThem(t *testing.T) {
	var vectors []struct{ Bits, Text string }
	golden.Read(t, "doubles", &vectors)
	for _, vector := range vectors {
		bits, err := strconv.ParseUint(vector.Bits, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		text := string(exact.AppendDouble(nil, math.Float64frombits(bits)))
		if text != vector.Text {
			t.Errorf("%s is written %s, want %s", vector.Bits, text, vector.Text)
		}
	}
}

func TestIntegersAreWrittenInTheFewestBytesAndReadBack(t *testing.T) {
	var vectors []struct{ Integer, Bytes string }
	golden.Read(t, "integers", &vectors)
	for _, vector := range vectors {
		integer, _ := new(big.Int).SetString(vector.Integer, 10)
		data := exact.IntegerBytes(integer)
		if hex.EncodeToString(data) != vector.Bytes {
			t.Errorf("%s is written %x, want %s", vector.Integer, data, vector.Bytes)
		}
		if back := exact.Integer(data); back.Cmp(integer) != 0 {
			t.Errorf("%x is read %s, want %s", data, back, integer)
		}
	}
}
