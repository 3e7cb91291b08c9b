// Package golden reads the golden vectors of the repository for tests.
package golden

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Read decodes proto/golden/NAME.json into vectors, which must be a pointer to a slice.
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

// Payload decodes a payload of a vector.
func Payload(t *testing.T, data []byte) *anypb.Any {
	t.Helper()
	payload := new(anypb.Any)
	if err := proto.Unmarshal(data, payload); err != nil {
		t.Fatal(err)
	}
	return payload
}
