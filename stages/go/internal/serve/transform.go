// Package serve has the gRPC services of a source, a transform stage and a sink. They know
// nothing of payloads, and workloads know nothing of them.
package serve

import (
	"io"

	"google.golang.org/grpc"

	"pipeline/stages/go/internal/pb"
	"pipeline/stages/go/internal/stage"
)

// Transform serves a transform stage.
type Transform struct {
	pb.UnimplementedStageServer
	Stage stage.Transform
}

// Process answers each batch with one batch of the same number. It reads a batch only when
// the transport has taken the reply to the one before, so that flow control reaches the
// client.
func (t *Transform) Process(stream grpc.BidiStreamingServer[pb.Batch, pb.Batch]) error {
	watch := newStopwatch()
	var send uint64
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			return setLastTiming(stream, watch, watch.lap(), send)
		}
		if err != nil {
			return err
		}
		timing := &pb.Timing{WaitNs: watch.lap(), SendNs: send}
		reply, err := t.answer(request, watch, timing)
		if err != nil {
			return statusOf(at(request, err))
		}
		timing.ProcessTotalCpuNs = watch.process()
		reply.Timing = timing
		if err := stream.Send(reply); err != nil {
			return err
		}
		send = watch.lap()
	}
}

func (t *Transform) answer(request *pb.Batch, watch *stopwatch, timing *pb.Timing) (*pb.Batch, error) {
	watch.lock()
	defer watch.unlock()
	message := t.Stage.New()
	if err := unpack(request.Payload, message); err != nil {
		return nil, err
	}
	timing.DecodeNs, timing.DecodeCpuNs = watch.work()
	output, err := guard(func() (stage.Output, error) { return t.Stage.Apply(message) })
	if err != nil {
		return nil, err
	}
	timing.ProcessNs, timing.ProcessCpuNs = watch.work()
	reply, err := pack(request.Number, output)
	if err != nil {
		return nil, err
	}
	timing.EncodeNs, timing.EncodeCpuNs = watch.work()
	return reply, nil
}
