// Program pipeline-stage serves one stage of a pipeline: ingest, parse, rules, aggregate
// or sink.
//
// When it is ready, it prints one line of JSON with its address to standard output. It
// logs to standard error. On SIGTERM or SIGINT it finishes its open streams and exits.
//
// Exit codes: 0 stopped, 1 failed, 2 wrong usage.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"pipeline/stages/go/internal/events"
	"pipeline/stages/go/internal/files"
	"pipeline/stages/go/internal/items"
	"pipeline/stages/go/internal/pb"
	"pipeline/stages/go/internal/serve"
	"pipeline/stages/go/internal/stage"
)

// drainTimeout is how long open streams may go on once the server is asked to stop.
const drainTimeout = 30 * time.Second

const (
	exitFailed = 1
	exitUsage  = 2
)

type workload struct {
	transforms map[string]stage.Transform
	newResult  func() stage.Accumulator
	readsLines bool
}

var workloads = map[string]workload{
	"events": {
		transforms: map[string]stage.Transform{
			"parse":     stage.NewTransform(events.Parse),
			"rules":     stage.NewTransform(events.Rules),
			"aggregate": stage.NewTransform(events.Aggregate),
		},
		newResult:  events.NewTotalsByType,
		readsLines: true,
	},
	"work-items": {
		transforms: map[string]stage.Transform{
			"parse":     stage.NewTransform(items.Parse),
			"rules":     stage.NewTransform(items.Rules),
			"aggregate": stage.NewTransform(items.Aggregate),
		},
		newResult: items.NewScores,
	},
}

func main() {
	err := run(os.Args[1:])
	var usage *usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "pipeline-stage:", err)
		os.Exit(exitUsage)
	default:
		fmt.Fprintln(os.Stderr, "pipeline-stage:", err)
		os.Exit(exitFailed)
	}
}

func run(args []string) error {
	options, err := parseOptions(args)
	if err != nil {
		return err
	}
	// Before the handshake, since whoever reads it may send a signal at once.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	// A log that nobody reads any more must not end the program.
	signal.Ignore(syscall.SIGPIPE)
	log.SetPrefix(options.stage + " ")

	server, err := newServer(options)
	if err != nil {
		return err
	}
	listener, err := listen(options.bind)
	if err != nil {
		return err
	}
	// The server closes it too, unless it is stopped before it has begun to serve.
	defer func() { _ = listener.Close() }()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	lifeline, err := watchLifeline(options.lifeline)
	if err != nil {
		server.StopNow()
		return err
	}
	if err := announce(options, listener.Addr()); err != nil {
		server.StopNow()
		return err
	}
	select {
	case <-signals:
	case <-lifeline:
		server.StopNow()
		return errors.New("the process that started it is gone")
	case err := <-served:
		return err
	}
	log.Print("draining")
	drained := make(chan struct{})
	go func() {
		server.Drain()
		close(drained)
	}()
	select {
	case <-drained:
	case <-time.After(drainTimeout):
		server.StopNow()
	case <-signals:
		server.StopNow()
	case <-lifeline:
		server.StopNow()
		return errors.New("the process that started it is gone")
	}
	return nil
}

// newServer returns the server of a stage that parseOptions has found to exist.
func newServer(options *options) (*serve.Server, error) {
	folders, err := files.NewFolders(options.folders, options.stdin)
	if err != nil {
		return nil, &usageError{err.Error()}
	}
	work := workloads[options.workload]
	switch options.stage {
	case "ingest":
		server := serve.NewServer(pb.Ingest_ServiceDesc.ServiceName)
		pb.RegisterIngestServer(server, &serve.Ingest{Folders: folders})
		return server, nil
	case "sink":
		server := serve.NewServer(pb.Sink_ServiceDesc.ServiceName)
		pb.RegisterSinkServer(server, &serve.Sink{Folders: folders, NewResult: work.newResult})
		return server, nil
	default:
		server := serve.NewServer(pb.Stage_ServiceDesc.ServiceName)
		pb.RegisterStageServer(server, &serve.Transform{Stage: work.transforms[options.stage]})
		return server, nil
	}
}

// announce prints the handshake.
func announce(options *options, bound net.Addr) error {
	line, err := json.Marshal(struct {
		Stage    string `json:"stage"`
		Workload string `json:"workload"`
		Address  string `json:"address"`
		PID      int    `json:"pid"`
	}{options.stage, options.workload, addressOf(options.bind, bound), os.Getpid()})
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("can't print the handshake to standard output: %w", errors.Unwrap(err))
	}
	return nil
}

// watchLifeline returns a channel that is closed once the descriptor is at its end of
// file; never if there is none.
func watchLifeline(descriptor int) (<-chan struct{}, error) {
	gone := make(chan struct{})
	if descriptor < 0 {
		return gone, nil
	}
	lifeline := os.NewFile(uintptr(descriptor), "lifeline")
	if _, err := lifeline.Stat(); err != nil {
		return nil, usagef("lifeline %d: is no open descriptor", descriptor)
	}
	go func() {
		buffer := make([]byte, 1)
		for {
			if _, err := lifeline.Read(buffer); err != nil {
				close(gone)
				return
			}
		}
	}()
	return gone, nil
}
