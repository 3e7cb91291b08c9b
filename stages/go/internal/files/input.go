package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// pollInterval is how often a reader of a pipe checks whether the call has ended.
const pollInterval = 100 * time.Millisecond

// An Input is an open file or pipe.
type Input interface {
	// Read reads into buffer. It returns 0 if nothing has come within the timeout, and
	// io.EOF at the end.
	Read(ctx context.Context, buffer []byte, timeout time.Duration) (int, error)
	// Waits returns whether bytes have to be waited for, as of a pipe.
	Waits() bool
	// Waited returns the time that was spent waiting since the last call.
	Waited() time.Duration
	Close() error
}

// Open opens a file, a named pipe or a device; "-" is standard input. A file is read up to
// the size that it has now.
func (f *Folders) Open(path string) (Input, error) {
	if path == standardInput {
		return f.openStandardInput()
	}
	target, ok := f.locate(path)
	if !ok {
		return nil, &SourceError{fmt.Sprintf(
			"can't read %s: it is outside the folders that ingest serves", path)}
	}
	// Opening a pipe without O_NONBLOCK waits for a writer, and nobody could tell it that
	// the call has ended.
	descriptor, err := unix.Open(target, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, cantRead(path, err)
	}
	input, err := newInput(descriptor, path, target)
	if err != nil {
		_ = unix.Close(descriptor)
		return nil, err
	}
	return input, nil
}

func (f *Folders) openStandardInput() (Input, error) {
	if !f.standardInput {
		return nil, &SourceError{"ingest does not serve standard input"}
	}
	return newInput(unix.Stdin, "standard input", "")
}

// newInput returns the input of an open descriptor. An empty target means that there is no
// path to it, and that it is not closed at the end.
func newInput(descriptor int, name, target string) (Input, error) {
	var opened unix.Stat_t
	if err := unix.Fstat(descriptor, &opened); err != nil {
		return nil, cantRead(name, err)
	}
	switch opened.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return nil, cantRead(name, unix.EISDIR)
	case unix.S_IFREG:
		// Standard input may be in the middle of a file.
		at, err := unix.Seek(descriptor, 0, io.SeekCurrent)
		if err != nil {
			return nil, cantRead(name, err)
		}
		left := max(0, opened.Size-at)
		return &file{descriptor, name, target, opened, left}, nil
	default:
		return &pipe{descriptor: descriptor, name: name, isOurs: target != ""}, nil
	}
}

// A file must not change while it is read, except that it may grow.
type file struct {
	descriptor int
	name       string
	target     string
	opened     unix.Stat_t
	left       int64
}

func (f *file) Read(_ context.Context, buffer []byte, _ time.Duration) (int, error) {
	// Files of /proc say that they have no bytes, and are read to their end.
	hasSize := f.opened.Size > 0
	if hasSize {
		buffer = buffer[:min(int64(len(buffer)), f.left)]
	}
	count, err := readFully(f.descriptor, buffer)
	if err != nil {
		return 0, cantRead(f.name, err)
	}
	if hasSize {
		f.left -= int64(count)
		if count < len(buffer) {
			return 0, f.changed("truncated")
		}
		if err := f.check(); err != nil {
			return 0, err
		}
	}
	if count == 0 {
		return 0, io.EOF
	}
	return count, nil
}

// check fails if the file is not what was opened.
func (f *file) check() error {
	var now unix.Stat_t
	if err := unix.Fstat(f.descriptor, &now); err != nil {
		return cantRead(f.name, err)
	}
	if now.Size < f.opened.Size {
		return f.changed("truncated")
	}
	// A larger file was appended to, and what was there before is read.
	if now.Size == f.opened.Size && now.Mtim != f.opened.Mtim {
		return f.changed("written to")
	}
	if f.target == "" || f.left > 0 {
		return nil
	}
	var there unix.Stat_t
	if unix.Stat(f.target, &there) != nil {
		return f.changed("removed")
	}
	if there.Dev != f.opened.Dev || there.Ino != f.opened.Ino {
		return f.changed("replaced")
	}
	return nil
}

func (f *file) changed(how string) error {
	return &SourceError{fmt.Sprintf(
		"%s was %s while it was read; run again when nothing changes it", f.name, how)}
}

func (*file) Waits() bool           { return false }
func (*file) Waited() time.Duration { return 0 }

func (f *file) Close() error {
	if f.target == "" {
		return nil
	}
	return unix.Close(f.descriptor)
}

// A pipe is a pipe, a device or a terminal.
type pipe struct {
	descriptor int
	name       string
	isOurs     bool
	waited     time.Duration
}

// Read polls, since a named pipe that nobody has opened for writing yet reads as ended.
func (p *pipe) Read(ctx context.Context, buffer []byte, timeout time.Duration) (int, error) {
	start := time.Now()
	defer func() { p.waited += time.Since(start) }()
	for {
		left := timeout - time.Since(start)
		poll := []unix.PollFd{{Fd: int32(p.descriptor), Events: unix.POLLIN}}
		ready, err := unix.Poll(poll, milliseconds(min(left, pollInterval)))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return 0, cantRead(p.name, err)
		}
		if ready > 0 {
			count, err := read(p.descriptor, buffer)
			switch {
			case errors.Is(err, unix.EAGAIN): // another reader of it was faster
			case err != nil:
				return 0, cantRead(p.name, err)
			case count == 0:
				return 0, io.EOF
			default:
				return count, nil
			}
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if left <= pollInterval {
			return 0, nil
		}
	}
}

func (*pipe) Waits() bool { return true }

func (p *pipe) Waited() time.Duration {
	waited := p.waited
	p.waited = 0
	return waited
}

// Close closes it, except standard input, which belongs to the process.
func (p *pipe) Close() error {
	if !p.isOurs {
		return nil
	}
	return unix.Close(p.descriptor)
}

// milliseconds rounds up, so that a short wait is not a busy one.
func milliseconds(wait time.Duration) int {
	return int((max(wait, 0) + time.Millisecond - 1) / time.Millisecond)
}

// readFully reads until buffer is full or the file ends.
func readFully(descriptor int, buffer []byte) (int, error) {
	length := 0
	for length < len(buffer) {
		count, err := read(descriptor, buffer[length:])
		if err != nil {
			return 0, err
		}
		if count == 0 {
			break
		}
		length += count
	}
	return length, nil
}

func read(descriptor int, buffer []byte) (int, error) {
	for {
		count, err := unix.Read(descriptor, buffer)
		if !errors.Is(err, unix.EINTR) {
			return count, err
		}
	}
}
