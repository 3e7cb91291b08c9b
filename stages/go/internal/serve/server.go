package serve

import (
	"context"
	"math"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/tap"
)

const (
	// connectionTimeout is how long a connection may take to begin speaking HTTP/2. Until
	// then it holds up a drain.
	connectionTimeout = 5 * time.Second
	// watchersNotice is how long those who watch the health have to learn of a drain.
	watchersNotice = 100 * time.Millisecond
	// stopTimeout is how long handlers may take to return once their calls are cancelled.
	stopTimeout = 2 * time.Second
	// deadlineMargin is how long before its deadline a call ends, at most.
	deadlineMargin = 5 * time.Millisecond
)

// A Server serves one service, health and reflection.
type Server struct {
	*grpc.Server
	health   *health.Server
	streams  sync.WaitGroup // those of the service
	watchers context.Context
	endWatch context.CancelFunc
}

// NewServer returns a server for a service, to be registered by the caller. It has no
// limit on the size of messages.
func NewServer(service string) *Server {
	s := &Server{health: health.NewServer()}
	s.watchers, s.endWatch = context.WithCancel(context.Background())
	s.Server = grpc.NewServer(
		grpc.MaxRecvMsgSize(math.MaxInt),
		grpc.MaxSendMsgSize(math.MaxInt),
		grpc.ConnectionTimeout(connectionTimeout),
		grpc.WaitForHandlers(true), // so that drafts are removed before the process ends
		grpc.InTapHandle(endBeforeDeadline),
		grpc.StreamInterceptor(s.intercept),
	)
	healthpb.RegisterHealthServer(s.Server, s.health)
	reflection.Register(s.Server)
	s.health.SetServingStatus(service, healthpb.HealthCheckResponse_SERVING)
	return s
}

// Drain refuses new streams and returns when the open ones have ended. Those who only
// watch the health don't hold it up.
func (s *Server) Drain() {
	s.health.Shutdown()
	go func() {
		s.streams.Wait()
		time.Sleep(watchersNotice)
		s.endWatch()
	}()
	s.GracefulStop()
}

// StopNow cancels all streams, also during a drain, and waits a moment for their handlers.
func (s *Server) StopNow() {
	stopped := make(chan struct{})
	go func() {
		s.Stop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(stopTimeout):
	}
}

func (s *Server) intercept(
	server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	if strings.HasPrefix(info.FullMethod, "/pipeline.v1.") {
		s.streams.Add(1)
		defer s.streams.Done()
		return handler(server, stream)
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	stop := context.AfterFunc(s.watchers, cancel)
	defer stop()
	return handler(server, &watcherStream{stream, ctx})
}

// A watcherStream is a stream that ends when its context does.
type watcherStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *watcherStream) Context() context.Context { return s.ctx }

// endBeforeDeadline ends the work on a call a moment before its deadline, so that it ends
// with DEADLINE_EXCEEDED. At the deadline itself grpc-go resets the stream, which a client
// whose own clock is a little behind reports as CANCELLED; see
// https://github.com/grpc/grpc/issues/15745.
func endBeforeDeadline(ctx context.Context, _ *tap.Info) (context.Context, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, nil
	}
	margin := min(deadlineMargin, time.Until(deadline)/10)
	earlier, cancel := context.WithDeadline(ctx, deadline.Add(-margin))
	context.AfterFunc(ctx, cancel)
	return earlier, nil
}
