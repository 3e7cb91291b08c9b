package main

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// A usageError says in one line what is wrong with the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

type options struct {
	stage    string
	workload string
	bind     string
	folders  folderList
	stdin    bool
	lifeline int
}

type folderList []string

func (f *folderList) String() string { return strings.Join(*f, ", ") }

func (f *folderList) Set(path string) error {
	*f = append(*f, path)
	return nil
}

func parseOptions(args []string) (*options, error) {
	var o options
	flags := flag.NewFlagSet("pipeline-stage", flag.ContinueOnError)
	flags.StringVar(&o.stage, "stage", "", "`NAME`: ingest, parse, rules, aggregate or sink")
	flags.StringVar(&o.workload, "workload", "events", "`NAME`: events or work-items")
	flags.StringVar(&o.bind, "bind", "127.0.0.1:0", "`ADDRESS`: HOST:PORT or unix:PATH; port 0 takes a free one")
	flags.Var(&o.folders, "folder", "`DIR` in which ingest may read and the sink may write; repeatable")
	flags.BoolVar(&o.stdin, "stdin", false, "let ingest read standard input as -")
	flags.IntVar(&o.lifeline, "lifeline", -1, "`FD` of a pipe; at its end of file, stop at once")
	flags.SetOutput(io.Discard) // an error is one line, without the list of options
	err := flags.Parse(args)
	if err == flag.ErrHelp {
		flags.SetOutput(os.Stdout)
		flags.Usage()
		return nil, err
	}
	if err != nil {
		return nil, usagef("%v; --help lists the options", err)
	}
	if flags.NArg() > 0 {
		return nil, usagef("argument %q: there are only options; --help lists them", flags.Arg(0))
	}
	return &o, o.check()
}

func (o *options) check() error {
	work, known := workloads[o.workload]
	if !known {
		names := slices.Sorted(maps.Keys(workloads))
		return usagef("workload %q: there is %s", o.workload, strings.Join(names, " and "))
	}
	_, isTransform := work.transforms[o.stage]
	switch {
	case o.stage == "":
		return usagef("name the stage with --stage")
	case o.stage == "ingest" && !work.readsLines:
		return usagef("stage ingest: the items of %s are made in Python; run pipeline serve ingest", o.workload)
	case !isTransform && o.stage != "ingest" && o.stage != "sink":
		return usagef("stage %q: there is ingest, parse, rules, aggregate and sink", o.stage)
	}
	return checkBind(o.bind)
}
