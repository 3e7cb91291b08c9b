package serve_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"pipeline/stages/go/internal/events"
	"pipeline/stages/go/internal/files"
	"pipeline/stages/go/internal/pb"
	"pipeline/stages/go/internal/serve"
	"pipeline/stages/go/internal/stage"
)

// serving starts a server with all three services, which read and write in a folder.
func serving(t *testing.T, parse stage.Transform) (*serve.Server, *grpc.ClientConn, string) {
	t.Helper()
	folder := t.TempDir()
	folders, err := files.NewFolders([]string{folder}, false)
	if err != nil {
		t.Fatal(err)
	}
	server := serve.NewServer(pb.Stage_ServiceDesc.ServiceName)
	pb.RegisterIngestServer(server, &serve.Ingest{Folders: folders})
	pb.RegisterStageServer(server, &serve.Transform{Stage: parse})
	pb.RegisterSinkServer(server, &serve.Sink{Folders: folders, NewResult: events.NewTotalsByType})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.StopNow)
	channel, err := grpc.NewClient(listener.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = channel.Close() })
	return server, channel, folder
}

var parse = stage.NewTransform(events.Parse)

func payload(t *testing.T, message proto.Message) *anypb.Any {
	t.Helper()
	packed, err := anypb.New(message)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func checkStatus(t *testing.T, err error, code codes.Code, details string) {
	t.Helper()
	if status.Code(err) != code || !strings.Contains(err.Error(), details) {
		t.Errorf("the call ends with %v, want %v: %s", err, code, details)
	}
}

func TestABatchIsAnsweredAndTheLastTimingIsInTheTrailer(t *testing.T) {
	_, channel, _ := serving(t, parse)
	call, err := pb.NewStageClient(channel).Process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent := payload(t, &pb.Lines{FirstRecord: 1, Text: []byte("\n")})
	sent.TypeUrl = "elsewhere.example/and/pipeline.v1.Lines"
	if err := call.Send(&pb.Batch{Number: 5, Records: 1, Payload: sent}); err != nil {
		t.Fatal(err)
	}
	reply, err := call.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if reply.Number != 5 || len(reply.Rejections) != 1 || reply.Timing.GetProcessNs() == 0 {
		t.Errorf("the reply is %v", reply)
	}
	if url := reply.Payload.TypeUrl; url != "type.googleapis.com/pipeline.v1.Events" {
		t.Errorf("the reply has type %s", url)
	}
	if err := call.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := call.Recv(); err != io.EOF {
		t.Errorf("the call ends with %v", err)
	}
	timing := new(pb.Timing)
	for _, data := range call.Trailer().Get("pipeline-timing-bin") {
		if err := proto.Unmarshal([]byte(data), timing); err != nil {
			t.Fatal(err)
		}
	}
	if timing.PeakRssBytes == 0 || timing.WaitNs == 0 {
		t.Errorf("the trailer has %v", timing)
	}
}

func TestAWrongPayloadIsAnInvalidArgument(t *testing.T) {
	_, channel, _ := serving(t, parse)
	broken := payload(t, new(pb.Lines))
	broken.Value = []byte("\x0a\x0a\x01")
	for details, sent := range map[string]*anypb.Any{
		"batch 3, from record 31: takes pipeline.v1.Lines, was sent pipeline.v1.Events": payload(t, new(pb.Events)),
		"batch 3, from record 31: takes pipeline.v1.Lines, was sent no payload":         nil,
		"batch 3, from record 31: was sent bytes that are no pipeline.v1.Lines":         broken,
	} {
		err := process(t, channel, &pb.Batch{Number: 3, FirstRecord: 31, Payload: sent})
		checkStatus(t, err, codes.InvalidArgument, details)
	}
}

func TestAFunctionThatFailsEndsTheCallAndNotTheServer(t *testing.T) {
	failing := func(*pb.Lines) (stage.Output, error) { return stage.Output{}, errors.New("wrong\ncolumns") }
	panicking := func(*pb.Lines) (stage.Output, error) { panic("a bug") }
	for details, function := range map[string]func(*pb.Lines) (stage.Output, error){
		"batch 3: wrong columns": failing,
		"batch 3: panic: a bug":  panicking,
	} {
		_, channel, _ := serving(t, stage.NewTransform(function))
		for range 2 {
			err := process(t, channel, &pb.Batch{Number: 3, Payload: payload(t, new(pb.Lines))})
			checkStatus(t, err, codes.Internal, details)
		}
	}
}

func process(t *testing.T, channel *grpc.ClientConn, batch *pb.Batch) error {
	t.Helper()
	call, err := pb.NewStageClient(channel).Process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Send(batch); err != nil {
		t.Fatal(err)
	}
	_, err = call.Recv()
	return err
}

func TestIngestSendsDenseBatchesWithoutTheByteOrderMark(t *testing.T) {
	_, channel, folder := serving(t, parse)
	write(t, filepath.Join(folder, "lines"), "\ufeffa\r\nb\nc")
	batches, err := read(t, channel, &pb.LineSource{Path: "lines", MaxLineBytes: 10},
		&pb.ReadRequest{BatchRecords: 2, BatchBytes: 100})
	if err != nil || len(batches) != 2 {
		t.Fatalf("%d batches are read, and %v", len(batches), err)
	}
	for number, text := range []string{"a\r\nb\n", "c\n"} {
		lines := new(pb.Lines)
		if err := batches[number].Payload.UnmarshalTo(lines); err != nil {
			t.Fatal(err)
		}
		if batches[number].Number != uint64(number) || string(lines.Text) != text {
			t.Errorf("batch %d is %v with %q", number, batches[number], lines.Text)
		}
	}
}

func TestAnEmptySourceIsAnEmptyStream(t *testing.T) {
	_, channel, folder := serving(t, parse)
	write(t, filepath.Join(folder, "empty"), "")
	batches, err := read(t, channel, &pb.LineSource{Path: "empty", MaxLineBytes: 10},
		&pb.ReadRequest{BatchRecords: 2, BatchBytes: 100})
	if err != nil || len(batches) != 0 {
		t.Errorf("%d batches are read, and %v", len(batches), err)
	}
}

func TestASourceThatCanNotBeReadIsRefused(t *testing.T) {
	_, channel, folder := serving(t, parse)
	write(t, filepath.Join(folder, "gz"), "\x1f\x8b\x08")
	write(t, filepath.Join(folder, "zst"), "\x28\xb5\x2f\xfd")
	write(t, filepath.Join(folder, "lines"), "a\n")
	one := &pb.ReadRequest{BatchRecords: 1, BatchBytes: 1}
	for _, wrong := range []struct {
		code    codes.Code
		details string
		source  *pb.LineSource
		request *pb.ReadRequest
	}{
		{codes.FailedPrecondition, "can't read gz: it is compressed by gzip; decompress it first", &pb.LineSource{Path: "gz", MaxLineBytes: 1}, one},
		{codes.FailedPrecondition, "can't read zst: it is compressed by zstd; decompress it first", &pb.LineSource{Path: "zst", MaxLineBytes: 1}, one},
		{codes.FailedPrecondition, "can't read no: no such file or directory", &pb.LineSource{Path: "no", MaxLineBytes: 1}, one},
		{codes.InvalidArgument, "line limit 0: must be 1 byte or more", &pb.LineSource{Path: "lines"}, one},
		{codes.InvalidArgument, "batch size 0: must be 1 or more", &pb.LineSource{Path: "lines", MaxLineBytes: 1}, &pb.ReadRequest{BatchBytes: 1}},
		{codes.InvalidArgument, "batch bytes 0: must be 1 or more", &pb.LineSource{Path: "lines", MaxLineBytes: 1}, &pb.ReadRequest{BatchRecords: 1}},
	} {
		_, err := read(t, channel, wrong.source, wrong.request)
		checkStatus(t, err, wrong.code, wrong.details)
	}
	_, err := read(t, channel, nil, one)
	checkStatus(t, err, codes.InvalidArgument, "takes pipeline.v1.LineSource, was sent no payload")
}

func read(
	t *testing.T, channel *grpc.ClientConn, source *pb.LineSource, request *pb.ReadRequest,
) ([]*pb.Batch, error) {
	t.Helper()
	request = proto.CloneOf(request)
	if source != nil {
		request.Source = payload(t, source)
	}
	call, err := pb.NewIngestClient(channel).Read(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	var batches []*pb.Batch
	for {
		batch, err := call.Recv()
		if err == io.EOF {
			return batches, nil
		}
		if err != nil {
			return batches, err
		}
		batches = append(batches, batch)
	}
}

func target(path string) *pb.WriteRequest {
	return &pb.WriteRequest{Step: &pb.WriteRequest_Target{Target: &pb.Target{Path: path}}}
}

func totals(t *testing.T, number uint64) *pb.WriteRequest {
	t.Helper()
	clicks := &pb.Total{Type: pb.EventType_EVENT_TYPE_CLICK, Count: 2, Sum: []byte{25}}
	batch := &pb.Batch{Number: number, Payload: payload(t, &pb.Totals{Totals: []*pb.Total{clicks}})}
	return &pb.WriteRequest{Step: &pb.WriteRequest_Batch{Batch: batch}}
}

func commit(batches, records uint64) *pb.WriteRequest {
	return &pb.WriteRequest{Step: &pb.WriteRequest_Commit{Commit: &pb.Commit{Batches: batches, Records: records}}}
}

func TestACommitPublishesTheResult(t *testing.T) {
	_, channel, folder := serving(t, parse)
	summary, err := writeAll(t, channel, target("result"), totals(t, 0), totals(t, 1), commit(2, 4))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"key":"click","count":4,"sum":50,"avg":12.5}` + "\n"
	checkFolder(t, folder, map[string]string{"result": want})
	if summary.Batches != 2 || summary.Records != 4 || summary.ResultBytes != uint64(len(want)) {
		t.Errorf("the summary is %v", summary)
	}
}

func TestAnyOtherEndPublishesNothingAndKeepsTheEarlierResult(t *testing.T) {
	_, channel, folder := serving(t, parse)
	write(t, filepath.Join(folder, "result"), "early")
	wrongPayload := totals(t, 0)
	wrongPayload.GetBatch().Payload = payload(t, new(pb.Events))
	for _, wrong := range []struct {
		code    codes.Code
		details string
		sent    []*pb.WriteRequest
	}{
		{codes.InvalidArgument, "takes a target first", nil},
		{codes.InvalidArgument, "takes a target first", []*pb.WriteRequest{totals(t, 0)}},
		{codes.InvalidArgument, "takes batch 0 next, was sent target", []*pb.WriteRequest{target("result"), target("result")}},
		{codes.InvalidArgument, "takes batch 0 next, was sent batch 1", []*pb.WriteRequest{target("result"), totals(t, 1)}},
		{codes.InvalidArgument, "takes batch 1 next, was sent batch 0", []*pb.WriteRequest{target("result"), totals(t, 0), totals(t, 0)}},
		{codes.InvalidArgument, "takes batch 0 next, was sent nothing", []*pb.WriteRequest{target("result"), {}}},
		{codes.InvalidArgument, "was sent no commit, so nothing was published", []*pb.WriteRequest{target("result"), totals(t, 0)}},
		{codes.InvalidArgument, "batch 0: takes pipeline.v1.Totals, was sent pipeline.v1.Events", []*pb.WriteRequest{target("result"), wrongPayload}},
		{codes.DataLoss, "3 records in 1 batches were passed on, but the result counts 2 in 1", []*pb.WriteRequest{target("result"), totals(t, 0), commit(1, 3)}},
		{codes.DataLoss, "nothing was published", []*pb.WriteRequest{target("result"), totals(t, 0), commit(2, 2)}},
		{codes.FailedPrecondition, "it is outside the folders that the sink serves", []*pb.WriteRequest{target("../result"), commit(0, 0)}},
	} {
		_, err := writeAll(t, channel, wrong.sent...)
		checkStatus(t, err, wrong.code, wrong.details)
		checkFolder(t, folder, map[string]string{"result": "early"})
	}
}

func TestACancelledWriteRemovesItsDraft(t *testing.T) {
	_, channel, folder := serving(t, parse)
	ctx, cancel := context.WithCancel(t.Context())
	call, err := pb.NewSinkClient(channel).Write(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Send(target("result")); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "there is a draft", func() bool { return len(names(t, folder)) == 1 })
	cancel()
	waitUntil(t, "the draft is removed", func() bool { return len(names(t, folder)) == 0 })
}

func writeAll(t *testing.T, channel *grpc.ClientConn, requests ...*pb.WriteRequest) (*pb.WriteSummary, error) {
	t.Helper()
	call, err := pb.NewSinkClient(channel).Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range requests {
		// It fails once the server has ended the call, whose status comes below.
		if err := call.Send(request); err != nil {
			break
		}
	}
	return call.CloseAndRecv()
}

func TestADrainFinishesOpenStreamsAndNotThoseThatWatchTheHealth(t *testing.T) {
	server, channel, _ := serving(t, parse)
	call, err := pb.NewStageClient(channel).Process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent := &pb.Batch{Payload: payload(t, new(pb.Lines))}
	exchange := func() {
		t.Helper()
		if err := call.Send(sent); err != nil {
			t.Fatal(err)
		}
		if _, err := call.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	exchange()
	watch, err := healthpb.NewHealthClient(channel).Watch(t.Context(), new(healthpb.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []healthpb.HealthCheckResponse_ServingStatus{
		healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING,
	} {
		reply, err := watch.Recv()
		if err != nil || reply.Status != want {
			t.Fatalf("the health is %v (%v), want %v", reply, err, want)
		}
		if want == healthpb.HealthCheckResponse_SERVING {
			go server.Drain()
		}
	}
	exchange()
	drained := make(chan struct{})
	go func() {
		server.Drain()
		close(drained)
	}()
	if err := call.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := call.Recv(); err != io.EOF {
		t.Errorf("the call ends with %v", err)
	}
	select {
	case <-drained:
	case <-time.After(5 * time.Second):
		t.Error("the drain does not end")
	}
}

func TestAnOverdueCallEndsWithDeadlineExceeded(t *testing.T) {
	_, channel, _ := serving(t, parse)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	call, err := pb.NewStageClient(channel).Process(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = call.Recv()
	checkStatus(t, err, codes.DeadlineExceeded, "")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

func checkFolder(t *testing.T, folder string, want map[string]string) {
	t.Helper()
	found := names(t, folder)
	if len(found) != len(want) {
		t.Errorf("the folder has %v", found)
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || string(got) != text {
			t.Errorf("%s has %q (%v), want %q", name, got, err, text)
		}
	}
}

func waitUntil(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never becomes true that %s", what)
		}
	}
}
