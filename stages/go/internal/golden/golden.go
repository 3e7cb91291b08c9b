// Package golden checks code against the golden vectors of the repository, in tests.
package golden

import (
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"pipeline/stages/go/internal/pb"
	"pipeline/stages/go/internal/stage"
)

// Read decodes proto/golden/NAME.json into vectors.
func Read[T any](t *testing.T, name string, vectors *[]T) {
	t.Helper()
	// Tests run in the folder of their package, stages/go/internal/PACKAGE.
	text, err := os.ReadFile(filepath.Join("../../../../proto/golden", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, vectors); err != nil {
		t.Fatal(err)
	}
	if len(*vectors) == 0 {
		t.Fatalf("%s has no vectors", name)
	}
}

// Integer reads an integer of any length.
func Integer(t *testing.T, text string) *big.Int {
	t.Helper()
	integer, ok := new(big.Int).SetString(text, 10)
	if !ok {
		t.Fatalf("%q is no integer", text)
	}
	return integer
}

// CheckStages checks the stage functions of a workload, by the names of the stages.
func CheckStages(t *testing.T, workload string, transforms map[string]stage.Transform) {
	t.Helper()
	var vectors []struct {
		Workload, Stage   string
		Request, Reply    []byte
		Records, Filtered int
		Rejections        []*pb.Rejection
	}
	Read(t, "stages", &vectors)
	checked := 0
	for i, vector := range vectors {
		if vector.Workload != workload {
			continue
		}
		checked++
		transform := transforms[vector.Stage]
		message := transform.New()
		decode(t, vector.Request, message)
		output, err := transform.Apply(message)
		if err != nil {
			t.Errorf("vector %d: %s fails: %v", i, vector.Stage, err)
			continue
		}
		payload, err := anypb.New(output.Message)
		if err != nil {
			t.Fatal(err)
		}
		if want := unwrap(t, vector.Reply); !proto.Equal(payload, want) {
			t.Errorf("vector %d: %s replies %v, want %v", i, vector.Stage, payload, want)
		}
		got := &pb.Batch{
			Records: uint64(output.Records), Filtered: uint64(output.Filtered), Rejections: output.Rejections,
		}
		want := &pb.Batch{
			Records: uint64(vector.Records), Filtered: uint64(vector.Filtered), Rejections: vector.Rejections,
		}
		if !proto.Equal(got, want) {
			t.Errorf("vector %d: %s accounts for %v, want %v", i, vector.Stage, got, want)
		}
	}
	if checked == 0 {
		t.Errorf("there is no vector of %s", workload)
	}
}

// CheckResults checks the accumulator of a workload.
func CheckResults(t *testing.T, workload string, newResult func() stage.Accumulator) {
	t.Helper()
	var vectors []struct {
		Workload string
		Payloads [][]byte
		Records  uint64
		Result   string
	}
	Read(t, "results", &vectors)
	checked := 0
	for i, vector := range vectors {
		if vector.Workload != workload {
			continue
		}
		checked++
		result := newResult()
		var text []byte
		for _, payload := range vector.Payloads {
			message := result.New()
			decode(t, payload, message)
			added, err := result.Add(message)
			if err != nil {
				t.Fatalf("vector %d: %v", i, err)
			}
			text = append(text, added...)
		}
		rest, err := result.Finish()
		if err != nil {
			t.Fatalf("vector %d: %v", i, err)
		}
		if text = append(text, rest...); string(text) != vector.Result {
			t.Errorf("vector %d gives %s, want %s", i, text, vector.Result)
		}
		if result.Records() != vector.Records {
			t.Errorf("vector %d has %d records, want %d", i, result.Records(), vector.Records)
		}
	}
	if checked == 0 {
		t.Errorf("there is no vector of %s", workload)
	}
}

func decode(t *testing.T, payload []byte, into proto.Message) {
	t.Helper()
	if err := unwrap(t, payload).UnmarshalTo(into); err != nil {
		t.Fatal(err)
	}
}

func unwrap(t *testing.T, payload []byte) *anypb.Any {
	t.Helper()
	wrapped := new(anypb.Any)
	if err := proto.Unmarshal(payload, wrapped); err != nil {
		t.Fatal(err)
	}
	return wrapped
}
