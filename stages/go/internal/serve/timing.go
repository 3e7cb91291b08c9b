package serve

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"pipeline/stages/go/internal/pb"
)

// timingKey is the trailing metadata with what was spent after the last message.
const timingKey = "pipeline-timing-bin"

// A stopwatch cuts the time of one call into laps without gaps. All values are in
// nanoseconds.
type stopwatch struct {
	wall       time.Time
	threadCPU  uint64
	processCPU uint64
}

func newStopwatch() *stopwatch {
	return &stopwatch{wall: time.Now(), processCPU: clock(unix.CLOCK_PROCESS_CPUTIME_ID)}
}

// lap returns the wall time since the last call of lap or work.
func (s *stopwatch) lap() uint64 {
	now := time.Now()
	spent := now.Sub(s.wall)
	s.wall = now
	return uint64(spent)
}

// lock keeps the goroutine on its thread, so that the thread's clock measures its work.
// The CPU time of waiting and sending stays 0: a goroutine changes threads meanwhile.
func (s *stopwatch) lock() {
	runtime.LockOSThread()
	s.threadCPU = clock(unix.CLOCK_THREAD_CPUTIME_ID)
}

func (s *stopwatch) unlock() { runtime.UnlockOSThread() }

// work returns the wall time since the last call of lap or work, and the CPU time of the
// thread since the last call of lock or work.
func (s *stopwatch) work() (wall, cpu uint64) {
	now := clock(unix.CLOCK_THREAD_CPUTIME_ID)
	cpu = now - s.threadCPU
	s.threadCPU = now
	return s.lap(), cpu
}

// process returns the CPU time of the whole process since the last call.
func (s *stopwatch) process() uint64 {
	now := clock(unix.CLOCK_PROCESS_CPUTIME_ID)
	spent := now - s.processCPU
	s.processCPU = now
	return spent
}

// setLastTiming sends what was spent after the last message of a stream.
func setLastTiming(stream grpc.ServerStream, watch *stopwatch, wait, send uint64) error {
	timing, err := proto.Marshal(&pb.Timing{
		WaitNs:            wait,
		SendNs:            send,
		ProcessTotalCpuNs: watch.process(),
		PeakRssBytes:      peakResidentBytes(),
	})
	if err != nil {
		return err
	}
	stream.SetTrailer(metadata.Pairs(timingKey, string(timing)))
	return nil
}

func clock(id int32) uint64 {
	var now unix.Timespec
	if err := unix.ClockGettime(id, &now); err != nil {
		return 0
	}
	return uint64(now.Nano())
}

func peakResidentBytes() uint64 {
	// Linux passes the peak of getrusage on from the parent process, so it may be too high.
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
		if fields := bytes.Fields(rest); len(fields) > 0 {
			if kib, err := strconv.ParseUint(string(fields[0]), 10, 64); err == nil {
				return kib * 1024
			}
		}
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return uint64(usage.Maxrss) // in bytes there
	}
	return uint64(usage.Maxrss) * 1024
}
