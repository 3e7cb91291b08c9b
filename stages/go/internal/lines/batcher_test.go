package lines

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"pipeline/stages/go/internal/golden"
	"pipeline/stages/go/internal/pb"
)

type lineBatch struct {
	FirstRecord uint64 `json:"first_record"`
	Records     int
	Text        []byte
	TooLong     []uint64 `json:"too_long"`
}

func TestBatchesAreCutAsTheVectorsSayInBlocksOfAnySize(t *testing.T) {
	var vectors []struct {
		Stream       []byte
		MaxLineBytes uint64 `json:"max_line_bytes"`
		BatchRecords uint64 `json:"batch_records"`
		BatchBytes   uint64 `json:"batch_bytes"`
		MaxRecords   uint64 `json:"max_records"`
		Batches      []lineBatch
	}
	golden.Read(t, "line_batches", &vectors)
	for i, vector := range vectors {
		for _, size := range []int{1, 2, 3, 1000} {
			limits := Limits{
				Records:    vector.BatchRecords,
				Bytes:      vector.BatchBytes,
				MaxRecords: vector.MaxRecords,
				MaxLine:    vector.MaxLineBytes,
			}
			got := cutAll(t, limits, vector.Stream, size)
			if len(got) != len(vector.Batches) {
				t.Errorf("vector %d, blocks of %d: %d batches, want %d", i, size, len(got), len(vector.Batches))
				continue
			}
			for number, want := range vector.Batches {
				checkBatch(t, got[number], want)
			}
		}
	}
}

func checkBatch(t *testing.T, got, want lineBatch) {
	t.Helper()
	message := func(b lineBatch) *pb.Lines {
		return &pb.Lines{FirstRecord: b.FirstRecord, Text: b.Text, TooLong: b.TooLong}
	}
	if !proto.Equal(message(got), message(want)) || got.Records != want.Records {
		t.Errorf("a batch is %v, want %v", got, want)
	}
}

func cutAll(t *testing.T, limits Limits, stream []byte, size int) []lineBatch {
	t.Helper()
	var batches []lineBatch
	batcher := &batcher{limits: limits, emit: collect(&batches)}
	for len(stream) > 0 && !batcher.done() {
		size := min(size, len(stream))
		if err := batcher.feed(stream[:size]); err != nil {
			t.Fatal(err)
		}
		stream = stream[size:]
	}
	if err := batcher.finish(); err != nil {
		t.Fatal(err)
	}
	return batches
}

func collect(batches *[]lineBatch) func(*pb.Lines, int) error {
	return func(lines *pb.Lines, records int) error {
		text := append([]byte(nil), lines.Text...)
		*batches = append(*batches, lineBatch{lines.FirstRecord, records, text, lines.TooLong})
		return nil
	}
}

func TestABatchIsCutWhenItsLingerEndsAndAPartialLineIsKept(t *testing.T) {
	var batches []lineBatch
	limits := Limits{Records: 10, Bytes: 1000, MaxLine: 100, Linger: time.Millisecond}
	batcher := &batcher{limits: limits, emit: collect(&batches)}
	if err := batcher.feed([]byte("a\nb")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(batcher.dueIn())
	if err := batcher.cutDue(); err != nil {
		t.Fatal(err)
	}
	if err := batcher.feed([]byte("b\n")); err != nil {
		t.Fatal(err)
	}
	if err := batcher.finish(); err != nil {
		t.Fatal(err)
	}
	if len(batches) != 2 || string(batches[0].Text) != "a\n" || string(batches[1].Text) != "bb\n" {
		t.Errorf("the batches are %v", batches)
	}
}

func TestTheLargestLineLimitDropsNothing(t *testing.T) {
	limits := Limits{Records: 10, Bytes: 1000, MaxLine: ^uint64(0)}
	batches := cutAll(t, limits, []byte("line\n"), 2)
	if len(batches) != 1 || string(batches[0].Text) != "line\n" {
		t.Errorf("the batches are %v", batches)
	}
}
