package serve

import (
	"fmt"
	"io"

	"google.golang.org/grpc"

	"pipeline/stages/go/internal/files"
	"pipeline/stages/go/internal/pb"
	"pipeline/stages/go/internal/stage"
)

// Sink publishes the results of runs.
type Sink struct {
	pb.UnimplementedSinkServer
	Folders   *files.Folders
	NewResult func() stage.Accumulator
}

type writeStream = grpc.ClientStreamingServer[pb.WriteRequest, pb.WriteSummary]

// A lossError says that the counts of a run do not add up.
type lossError struct{ text string }

func (e *lossError) Error() string { return e.text }

// Write folds the batches into a draft of the result, and publishes it on the commit.
func (s *Sink) Write(stream writeStream) error {
	summary, err := s.write(stream)
	if err != nil {
		return statusOf(err)
	}
	return stream.SendAndClose(summary)
}

func (s *Sink) write(stream writeStream) (*pb.WriteSummary, error) {
	watch := newStopwatch()
	request, err := stream.Recv()
	if err != nil && err != io.EOF {
		return nil, err
	}
	target := request.GetTarget()
	if target == nil {
		return nil, refusef("takes a target first")
	}
	draft, err := s.Folders.NewDraft(target.Path)
	if err != nil {
		return nil, err
	}
	defer draft.Discard()
	writer := &resultWriter{result: s.NewResult(), draft: draft}
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			return nil, refusef("was sent no commit, so nothing was published")
		}
		if err != nil {
			return nil, err
		}
		writer.timing.WaitNs += watch.lap()
		switch step := request.Step.(type) {
		case *pb.WriteRequest_Batch:
			if step.Batch.GetNumber() != writer.batches {
				return nil, refusef("takes batch %d next, was sent batch %d",
					writer.batches, step.Batch.GetNumber())
			}
			if err := writer.add(step.Batch, watch); err != nil {
				return nil, err
			}
		case *pb.WriteRequest_Commit:
			if err := writer.commit(step.Commit, watch); err != nil {
				return nil, err
			}
			return writer.summary(watch), nil
		case *pb.WriteRequest_Target:
			return nil, refusef("takes batch %d next, was sent target", writer.batches)
		default:
			return nil, refusef("takes batch %d next, was sent nothing", writer.batches)
		}
	}
}

// A resultWriter writes the result of one run.
type resultWriter struct {
	result  stage.Accumulator
	draft   *files.Draft
	batches uint64
	timing  pb.Timing
}

func (w *resultWriter) add(batch *pb.Batch, watch *stopwatch) error {
	watch.lock()
	defer watch.unlock()
	message := w.result.New()
	if err := unpack(batch.GetPayload(), message); err != nil {
		return at(batch, err)
	}
	wall, cpu := watch.work()
	w.timing.DecodeNs += wall
	w.timing.DecodeCpuNs += cpu
	text, err := guard(func() ([]byte, error) { return w.result.Add(message) })
	if err != nil {
		return at(batch, err)
	}
	if err := w.draft.Write(text); err != nil {
		return err
	}
	w.batches++
	w.spendProcess(watch)
	return nil
}

func (w *resultWriter) commit(commit *pb.Commit, watch *stopwatch) error {
	watch.lock()
	defer watch.unlock()
	if w.batches != commit.GetBatches() || w.result.Records() != commit.GetRecords() {
		return &lossError{fmt.Sprintf(
			"%d records in %d batches were passed on, but the result counts %d in %d; nothing was published",
			commit.GetRecords(), commit.GetBatches(), w.result.Records(), w.batches)}
	}
	text, err := guard(w.result.Finish)
	if err != nil {
		return err
	}
	if err := w.draft.Write(text); err != nil {
		return err
	}
	if err := w.draft.Publish(); err != nil {
		return err
	}
	w.spendProcess(watch)
	return nil
}

func (w *resultWriter) spendProcess(watch *stopwatch) {
	wall, cpu := watch.work()
	w.timing.ProcessNs += wall
	w.timing.ProcessCpuNs += cpu
}

func (w *resultWriter) summary(watch *stopwatch) *pb.WriteSummary {
	w.timing.ProcessTotalCpuNs = watch.process()
	w.timing.PeakRssBytes = peakResidentBytes()
	return &pb.WriteSummary{
		Batches:     w.batches,
		Records:     w.result.Records(),
		ResultBytes: w.draft.Size(),
		Timing:      &w.timing,
	}
}
