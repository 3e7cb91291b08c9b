package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"pipeline/stages/go/internal/files"
	"pipeline/stages/go/internal/pb"
	"pipeline/stages/go/internal/stage"
)

// A requestError is one of the client: a request out of order, or a payload of a type that
// is not taken.
type requestError struct{ text string }

func (e *requestError) Error() string { return e.text }

func refusef(format string, args ...any) error {
	return &requestError{fmt.Sprintf(format, args...)}
}

// unpack decodes a payload into a message of the type that is wanted.
func unpack(payload *anypb.Any, into proto.Message) error {
	wanted := string(into.ProtoReflect().Descriptor().FullName())
	// Only what follows the last slash names the type; languages differ before it.
	url := payload.GetTypeUrl()
	name := url[strings.LastIndexByte(url, '/')+1:]
	if name == "" {
		return refusef("takes %s, was sent no payload", wanted)
	}
	if name != wanted {
		return refusef("takes %s, was sent %s", wanted, name)
	}
	if err := proto.Unmarshal(payload.GetValue(), into); err != nil {
		return refusef("was sent bytes that are no %s", wanted)
	}
	return nil
}

func pack(number uint64, output stage.Output) (*pb.Batch, error) {
	payload, err := anypb.New(output.Message)
	if err != nil {
		return nil, err
	}
	return &pb.Batch{
		Number:     number,
		Records:    uint64(output.Records),
		Filtered:   uint64(output.Filtered),
		Rejections: output.Rejections,
		Payload:    payload,
	}, nil
}

// guard calls a function of a workload. A panic in it fails the call, not the server.
func guard[T any](function func() (T, error)) (result T, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	return function()
}

// at says at which batch an error occurred. It keeps the error's kind.
func at(batch *pb.Batch, err error) error {
	if first := batch.GetFirstRecord(); first > 0 {
		return fmt.Errorf("batch %d, from record %d: %w", batch.GetNumber(), first, err)
	}
	return fmt.Errorf("batch %d: %w", batch.GetNumber(), err)
}

// statusOf returns the status with which an error ends a call.
func statusOf(err error) error {
	var (
		request *requestError
		source  *files.SourceError
		sink    *files.SinkError
		lost    *lossError
	)
	_, isStatus := status.FromError(err)
	switch {
	case err == nil, isStatus:
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	case errors.As(err, &request):
		return oneLine(codes.InvalidArgument, err)
	case errors.As(err, &source), errors.As(err, &sink):
		return oneLine(codes.FailedPrecondition, err)
	case errors.As(err, &lost):
		return oneLine(codes.DataLoss, err)
	default:
		return oneLine(codes.Internal, err)
	}
}

// maxDetails keeps the details of a status, which travel in headers, short.
const maxDetails = 500

// oneLine returns a status whose details are one line of valid text.
func oneLine(code codes.Code, err error) error {
	text := strings.ToValidUTF8(strings.Join(strings.Fields(err.Error()), " "), "?")
	if len(text) > maxDetails {
		text = strings.ToValidUTF8(text[:maxDetails], "") + "…"
	}
	return status.Error(code, text)
}
