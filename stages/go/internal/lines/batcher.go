// Package lines has the source of the workload events: lines of a file, a pipe or standard
// input.
package lines

import (
	"bytes"
	"math"
	"time"

	"pipeline/stages/go/internal/pb"
)

// Limits say when a batch is cut.
type Limits struct {
	Records    uint64
	Bytes      uint64
	MaxRecords uint64 // 0 reads all
	MaxLine    uint64 // in bytes, without the line end
	// Linger is how long the first record of a batch waits for more; 0 is without end.
	Linger time.Duration
}

// forever stands for a linger without end.
const forever = time.Duration(math.MaxInt64)

// A batcher cuts blocks of bytes into batches of whole lines, without doing any I/O. It
// holds one batch, one line and one block at most. Emit takes the batches; its error ends
// the work.
type batcher struct {
	limits Limits
	emit   func(lines *pb.Lines, records int) error

	taken uint64
	// The unfinished batch, and when its linger ends.
	text    []byte
	records int
	tooLong []uint64
	due     time.Time
	// The unfinished line: its beginning, or that it is being dropped.
	partial  []byte
	dropping bool
}

// done returns whether MaxRecords is reached, so that further input is ignored.
func (b *batcher) done() bool {
	return b.limits.MaxRecords > 0 && b.taken >= b.limits.MaxRecords
}

// dueIn returns how long the unfinished batch may still wait.
func (b *batcher) dueIn() time.Duration {
	if b.due.IsZero() {
		return forever
	}
	return max(0, time.Until(b.due))
}

// feed takes the next bytes of the stream.
func (b *batcher) feed(block []byte) error {
	for len(block) > 0 && !b.done() {
		end := bytes.IndexByte(block, '\n')
		if end < 0 {
			b.keep(block)
			return nil
		}
		line := block[:end]
		block = block[end+1:]
		if b.dropping || len(b.partial) > 0 {
			b.keep(line)
			line = b.partial
		}
		if err := b.take(line, b.dropping || b.isTooLong(line)); err != nil {
			return err
		}
		b.partial, b.dropping = b.partial[:0], false
	}
	return nil
}

// finish takes the end of the stream.
func (b *batcher) finish() error {
	if len(b.partial) > 0 || b.dropping {
		if err := b.feed([]byte("\n")); err != nil {
			return err
		}
	}
	return b.cut()
}

// cutDue cuts the unfinished batch if its linger has ended; a partial line is kept.
func (b *batcher) cutDue() error {
	if b.due.IsZero() || time.Now().Before(b.due) {
		return nil
	}
	return b.cut()
}

// keep adds to the unfinished line, or drops it if it gets too long.
func (b *batcher) keep(part []byte) {
	// One byte over may still be the CR of a line end.
	size := uint64(len(b.partial) + len(part))
	if b.dropping || size > b.limits.MaxLine && size-1 > b.limits.MaxLine {
		b.partial, b.dropping = b.partial[:0], true
		return
	}
	b.partial = append(b.partial, part...)
}

func (b *batcher) isTooLong(line []byte) bool {
	return uint64(len(line)) > b.limits.MaxLine &&
		uint64(len(bytes.TrimSuffix(line, []byte("\r")))) > b.limits.MaxLine
}

// take adds a whole line, without its LF.
func (b *batcher) take(line []byte, tooLong bool) error {
	if tooLong {
		line = nil
	}
	// A line that does not fit into an empty batch either is a batch of its own.
	if uint64(len(b.text)+len(line)+1) > b.limits.Bytes {
		if err := b.cut(); err != nil {
			return err
		}
	}
	if tooLong {
		b.tooLong = append(b.tooLong, uint64(b.records))
	}
	// From now, not from when the block arrived: the time that the receiver of an earlier
	// batch took must not shorten the linger of this one.
	if b.records == 0 && b.limits.Linger > 0 {
		b.due = time.Now().Add(b.limits.Linger)
	}
	b.text = append(append(b.text, line...), '\n')
	b.records++
	b.taken++
	if uint64(b.records) == b.limits.Records {
		return b.cut()
	}
	return nil
}

// cut emits the unfinished batch, unless it is empty.
func (b *batcher) cut() error {
	if b.records == 0 {
		return nil
	}
	lines := &pb.Lines{
		FirstRecord: b.taken - uint64(b.records) + 1,
		Text:        b.text,
		TooLong:     b.tooLong,
	}
	records := b.records
	b.text, b.records, b.tooLong, b.due = b.text[:0], 0, nil, time.Time{}
	return b.emit(lines, records)
}
