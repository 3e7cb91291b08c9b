package lines

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"pipeline/stages/go/internal/files"
	"pipeline/stages/go/internal/pb"
)

const blockBytes = 256 * 1024

var (
	gzipMark      = []byte("\x1f\x8b")
	zstdMark      = []byte("\x28\xb5\x2f\xfd")
	byteOrderMark = []byte("\xef\xbb\xbf")
)

// Read reads the lines of an input, and emits them as batches. A batch is valid until emit
// returns. Read ends early where ctx is done.
//
// Path names the input in errors. The linger applies to pipes only, since a file never
// makes its reader wait.
func Read(
	ctx context.Context,
	input files.Input,
	path string,
	limits Limits,
	emit func(lines *pb.Lines, records int) error,
) error {
	buffer := make([]byte, blockBytes)
	head, err := readHead(ctx, input, buffer)
	if err != nil {
		return err
	}
	if kind := compressionOf(head); kind != "" {
		return &files.SourceError{Text: fmt.Sprintf(
			"can't read %s: it is compressed by %s; decompress it first", path, kind)}
	}
	if !input.Waits() {
		limits.Linger = 0
	}
	batcher := &batcher{limits: limits, emit: emit}
	if err := batcher.feed(bytes.TrimPrefix(head, byteOrderMark)); err != nil {
		return err
	}
	for !batcher.done() {
		count, err := input.Read(ctx, buffer, batcher.dueIn())
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := batcher.feed(buffer[:count]); err != nil {
			return err
		}
		if err := batcher.cutDue(); err != nil {
			return err
		}
	}
	return batcher.finish()
}

// readHead returns the first block; of a pipe, enough to tell whether it begins with a
// mark. It is empty at the end of an empty input.
func readHead(ctx context.Context, input files.Input, buffer []byte) ([]byte, error) {
	length := 0
	for {
		count, err := input.Read(ctx, buffer[length:], forever)
		if err != nil && err != io.EOF {
			return nil, err
		}
		length += count
		if err == io.EOF || !mayBecomeMark(buffer[:length]) {
			return buffer[:length], nil
		}
	}
}

func mayBecomeMark(head []byte) bool {
	for _, mark := range [...][]byte{gzipMark, zstdMark, byteOrderMark} {
		if len(head) < len(mark) && bytes.HasPrefix(mark, head) {
			return true
		}
	}
	return false
}

func compressionOf(head []byte) string {
	switch {
	case bytes.HasPrefix(head, gzipMark):
		return "gzip"
	case bytes.HasPrefix(head, zstdMark):
		return "zstd"
	default:
		return ""
	}
}
