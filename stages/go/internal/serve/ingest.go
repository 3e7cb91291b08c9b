package serve

import (
	"math"
	"time"

	"google.golang.org/grpc"

	"pipeline/stages/go/internal/files"
	"pipeline/stages/go/internal/lines"
	"pipeline/stages/go/internal/pb"
	"pipeline/stages/go/internal/stage"
)

// Ingest serves the lines of files.
type Ingest struct {
	pb.UnimplementedIngestServer
	Folders *files.Folders
}

// Read sends the lines that the request names, as batches numbered from 0.
func (i *Ingest) Read(request *pb.ReadRequest, stream grpc.ServerStreamingServer[pb.Batch]) error {
	watch := newStopwatch()
	send, err := i.read(request, stream, watch)
	if err != nil {
		return statusOf(err)
	}
	return setLastTiming(stream, watch, watch.lap(), send)
}

// read sends the batches, and returns how long it took to send the last one.
func (i *Ingest) read(
	request *pb.ReadRequest, stream grpc.ServerStreamingServer[pb.Batch], watch *stopwatch,
) (uint64, error) {
	source := new(pb.LineSource)
	if err := unpack(request.Source, source); err != nil {
		return 0, err
	}
	limits, err := limitsOf(request, source)
	if err != nil {
		return 0, err
	}
	input, err := i.Folders.Open(source.Path)
	if err != nil {
		return 0, err
	}
	defer input.Close()

	var number, send uint64
	watch.lock()
	defer watch.unlock()
	err = lines.Read(stream.Context(), input, source.Path, limits, func(read *pb.Lines, records int) error {
		timing := &pb.Timing{WaitNs: uint64(input.Waited()), SendNs: send}
		timing.ProcessNs, timing.ProcessCpuNs = watch.work()
		timing.ProcessNs -= min(timing.ProcessNs, timing.WaitNs)
		batch, err := pack(number, stage.Output{Message: read, Records: records})
		if err != nil {
			return err
		}
		timing.EncodeNs, timing.EncodeCpuNs = watch.work()
		timing.ProcessTotalCpuNs = watch.process()
		batch.Timing = timing
		watch.unlock()
		err = stream.Send(batch)
		watch.lock()
		number++
		send = watch.lap()
		return err
	})
	return send, err
}

func limitsOf(request *pb.ReadRequest, source *pb.LineSource) (lines.Limits, error) {
	switch {
	case request.BatchRecords < 1:
		return lines.Limits{}, refusef("batch size %d: must be 1 or more", request.BatchRecords)
	case request.BatchBytes < 1:
		return lines.Limits{}, refusef("batch bytes %d: must be 1 or more", request.BatchBytes)
	case source.MaxLineBytes < 1:
		return lines.Limits{}, refusef("line limit %d: must be 1 byte or more", source.MaxLineBytes)
	}
	linger := time.Duration(0)
	if request.LingerNs <= math.MaxInt64 { // longer than 292 years is without end
		linger = time.Duration(request.LingerNs)
	}
	return lines.Limits{
		Records:    request.BatchRecords,
		Bytes:      request.BatchBytes,
		MaxRecords: request.MaxRecords,
		MaxLine:    source.MaxLineBytes,
		Linger:     linger,
	}, nil
}
