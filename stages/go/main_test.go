package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"pipeline/stages/go/internal/pb"
)

// With this variable, the test binary is the program.
const asProgram = "PIPELINE_STAGE_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	command := exec.CommandContext(ctx, os.Args[0], args...)
	command.Env = append(os.Environ(), asProgram+"=1")
	return command
}

type handshake struct {
	Stage, Workload, Address string
	PID                      int
}

// begin starts a command and reads its handshake.
func begin(t *testing.T, command *exec.Cmd) handshake {
	t.Helper()
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var said handshake
	if err := json.Unmarshal(line, &said); err != nil {
		t.Fatalf("the handshake is %q: %v", line, err)
	}
	return said
}

func connect(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	channel, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = channel.Close() })
	return channel
}

func checkServing(t *testing.T, channel *grpc.ClientConn, service string) {
	t.Helper()
	reply, err := healthpb.NewHealthClient(channel).Check(
		t.Context(), &healthpb.HealthCheckRequest{Service: service}, grpc.WaitForReady(true))
	if err != nil || reply.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("the health of %q is %v (%v)", service, reply, err)
	}
}

func checkExit(t *testing.T, command *exec.Cmd, code int, within time.Duration) {
	t.Helper()
	start := time.Now()
	err := command.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := command.ProcessState.ExitCode(); got != code {
		t.Errorf("it exits with %d (%v), want %d", got, err, code)
	}
	if took := time.Since(start); took > within {
		t.Errorf("it takes %v to exit", took)
	}
}

func stop(t *testing.T, command *exec.Cmd) {
	t.Helper()
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

func TestTheHandshakeSaysWhatIsServedAndSIGTERMEndsIt(t *testing.T) {
	server := command(t, "--stage", "rules", "--workload", "work-items")
	said := begin(t, server)
	if said.Stage != "rules" || said.Workload != "work-items" || said.PID != server.Process.Pid {
		t.Errorf("the handshake is %+v", said)
	}
	channel := connect(t, said.Address)
	checkServing(t, channel, "")
	checkServing(t, channel, "pipeline.v1.Stage")
	stop(t, server)
	checkExit(t, server, 0, 3*time.Second)
}

func TestWrongUsageIsOneLineAndExitCode2(t *testing.T) {
	long := "unix:/" + strings.Repeat("x", 107)
	for _, args := range [][]string{
		{},
		{"--stage", "pares"},
		{"--stage", "parse", "--workload", "mixed"},
		{"--stage", "ingest", "--workload", "work-items"},
		{"--stage", "parse", "--bind", "localhost"},
		{"--stage", "parse", "--bind", ":0"},
		{"--stage", "parse", "--bind", "127.0.0.1:65536"},
		{"--stage", "parse", "--bind", "unix:"},
		{"--stage", "parse", "--bind", long},
		{"--stage", "parse", "--lifeline", "99"},
		{"--stage", "parse", "--port", "1"},
		{"--stage", "parse", "more"},
	} {
		checkOneLine(t, command(t, args...), exitUsage)
	}
}

func TestAnAddressThatIsTakenIsOneLineAndExitCode1(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, bind := range []string{"127.0.0.1:0", "unix:" + path} {
		said := begin(t, command(t, "--stage", "parse", "--bind", bind))
		checkOneLine(t, command(t, "--stage", "parse", "--bind", said.Address), exitFailed)
		checkServing(t, connect(t, said.Address), "")
	}
}

func checkOneLine(t *testing.T, command *exec.Cmd, code int) {
	t.Helper()
	var stderr strings.Builder
	command.Stderr = &stderr
	_ = command.Run()
	text := stderr.String()
	if command.ProcessState.ExitCode() != code || strings.Count(text, "\n") != 1 {
		t.Errorf("%v exits with %d and says %q", command.Args[1:], command.ProcessState.ExitCode(), text)
	}
}

func TestTheSocketOfADeadServerIsReplacedAndRemovedAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	killed := command(t, "--stage", "parse", "--bind", "unix:"+path)
	begin(t, killed)
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	server := command(t, "--stage", "parse", "--bind", "unix:"+path)
	checkServing(t, connect(t, begin(t, server).Address), "")
	stop(t, server)
	checkExit(t, server, 0, 3*time.Second)
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind (%v)", err)
	}
}

func TestASecondSignalEndsItAtOnceAndRemovesDrafts(t *testing.T) {
	folder := t.TempDir()
	server := command(t, "--stage", "sink", "--folder", folder)
	channel := connect(t, begin(t, server).Address)
	startDraft(t, channel, folder)
	stop(t, server)
	time.Sleep(200 * time.Millisecond)
	if syscall.Kill(server.Process.Pid, 0) != nil {
		t.Error("one signal ends it with a stream open")
	}
	stop(t, server)
	checkExit(t, server, 0, 3*time.Second)
	checkEmpty(t, folder)
}

func TestItEndsOnceItsLifelineIsClosedAndRemovesDrafts(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	server := command(t, "--stage", "sink", "--folder", folder, "--lifeline", "3")
	server.ExtraFiles = []*os.File{read}
	channel := connect(t, begin(t, server).Address)
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	startDraft(t, channel, folder)
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	checkExit(t, server, exitFailed, 3*time.Second)
	checkEmpty(t, folder)
}

// startDraft opens a stream to a sink and waits until it has a draft.
func startDraft(t *testing.T, channel *grpc.ClientConn, folder string) {
	t.Helper()
	call, err := pb.NewSinkClient(channel).Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	target := &pb.WriteRequest_Target{Target: &pb.Target{Path: "result"}}
	if err := call.Send(&pb.WriteRequest{Step: target}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if entries, err := os.ReadDir(folder); err == nil && len(entries) == 1 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the sink starts no draft")
}

func checkEmpty(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) > 0 {
		t.Errorf("the folder has %v (%v)", entries, err)
	}
}

func TestHostileBytesDoNotEndItOrHoldUpItsEnd(t *testing.T) {
	server := command(t, "--stage", "parse")
	said := begin(t, server)
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settings := "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for _, text := range []string{
		"", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01", strings.Repeat("\xff", 100_000), preface,
		preface + settings + strings.Repeat("\xff", 1000),
		preface + settings + "\xff\xff\xff\x01\x05\x00\x00\x00\x01",
		preface + settings + "\x00\x00\x04\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff",
	} {
		hostile, err := net.Dial("tcp", said.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer hostile.Close()
		_, _ = hostile.Write([]byte(text)) // the server may hang up meanwhile
	}
	checkServing(t, connect(t, said.Address), "")
	stop(t, server)
	checkExit(t, server, 0, 7*time.Second)
}

func TestAMessageOfAnySizeIsTaken(t *testing.T) {
	said := begin(t, command(t, "--stage", "parse"))
	call, err := pb.NewStageClient(connect(t, said.Address)).Process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	batch := new(pb.Batch)
	for i := range 200_000 {
		batch.Rejections = append(batch.Rejections, &pb.Rejection{Record: uint64(i), Reason: "so large that 4 MiB do not hold it " + strconv.Itoa(i)})
	}
	if err := call.Send(batch); err != nil {
		t.Fatal(err)
	}
	// It is refused for its payload, not for its size.
	if _, err := call.Recv(); err == nil || !strings.Contains(err.Error(), "was sent no payload") {
		t.Errorf("the call ends with %v", err)
	}
}
