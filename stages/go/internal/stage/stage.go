// Package stage has the words that workloads and servers share. It knows no gRPC.
package stage

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"pipeline/stages/go/internal/pb"
)

// Output is what a stage function returns: a message, and the account of its records.
type Output struct {
	Message    proto.Message
	Records    int
	Filtered   int
	Rejections []*pb.Rejection
}

// A Transform is a stage function, a pure function from one message to the next.
type Transform struct {
	// New returns an empty message of the type that the stage takes.
	New func() proto.Message
	// Apply takes a message that New has made. It fails where columns contradict each
	// other.
	Apply func(proto.Message) (Output, error)
}

// NewTransform returns the transform of a function.
func NewTransform[M any, P message[M]](function func(P) (Output, error)) Transform {
	return Transform{
		New:   func() proto.Message { return P(new(M)) },
		Apply: func(taken proto.Message) (Output, error) { return function(taken.(P)) },
	}
}

// message is a pointer to M that is a message.
type message[M any] interface {
	*M
	proto.Message
}

// An Accumulator folds the messages of the last stage into the result of a run.
type Accumulator interface {
	// New returns an empty message of the type that Add takes.
	New() proto.Message
	// Add folds a message and returns the bytes of the result that are final.
	Add(proto.Message) ([]byte, error)
	// Records returns how many records were added.
	Records() uint64
	// Finish returns the remaining bytes of the result.
	Finish() ([]byte, error)
}

// CheckColumn fails unless a column has the given number of values.
func CheckColumn[T any](name string, column []T, length uint64) error {
	if uint64(len(column)) != length {
		return fmt.Errorf("%s has %d values, not %d", name, len(column), length)
	}
	return nil
}
