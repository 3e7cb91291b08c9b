// Package files opens what a source reads, and publishes what a sink writes. Clients name
// the files, so paths are confined to folders.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// A SourceError says in one line why a source can't be read.
type SourceError struct{ Text string }

func (e *SourceError) Error() string { return e.Text }

// A SinkError says in one line why a result can't be written.
type SinkError struct{ Text string }

func (e *SinkError) Error() string { return e.Text }

func cantRead(path string, err error) error {
	return &SourceError{fmt.Sprintf("can't read %s: %s", path, reason(err))}
}

func cantWrite(path string, err error) error {
	return &SinkError{fmt.Sprintf("can't write %s: %s", path, reason(err))}
}

// reason returns what an error says, without the path and operation.
func reason(err error) string {
	var number syscall.Errno
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &path):
		return path.Err.Error()
	case errors.As(err, &link):
		return link.Err.Error()
	default:
		return err.Error()
	}
}
