package files

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const always = time.Duration(math.MaxInt64)

func TestAFileIsReadUpToTheSizeThatItHadWhenItWasOpened(t *testing.T) {
	folder := realTempDir(t)
	path := filepath.Join(folder, "file")
	write(t, path, "early")
	input := open(t, folder, "file")
	appended, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := appended.WriteString("late"); err != nil {
		t.Fatal(err)
	}
	if text, err := readAll(input); text != "early" || err != io.EOF {
		t.Errorf("%q is read, and then %v", text, err)
	}
}

func TestAFileThatChangesWhileItIsReadIsRefused(t *testing.T) {
	for how, change := range map[string]func(path string) error{
		"truncated":  func(path string) error { return os.Truncate(path, 1) },
		"written to": func(path string) error { return os.Chtimes(path, time.Now(), time.Unix(1, 0)) },
		"removed":    os.Remove,
		"replaced": func(path string) error {
			if err := os.WriteFile(path+".new", []byte("other"), 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		},
	} {
		t.Run(how, func(t *testing.T) {
			folder := realTempDir(t)
			path := filepath.Join(folder, "file")
			write(t, path, "early")
			input := open(t, folder, path)
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			_, err := readAll(input)
			want := path + " was " + how + " while it was read; run again when nothing changes it"
			if err == nil || err.Error() != want {
				t.Errorf("reading fails with %v, want %s", err, want)
			}
		})
	}
}

func TestANamedPipeWaitsForItsWriter(t *testing.T) {
	folder := realTempDir(t)
	path := filepath.Join(folder, "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	input := open(t, folder, "pipe")
	buffer := make([]byte, 10)
	if count, err := input.Read(t.Context(), buffer, time.Millisecond); count != 0 || err != nil {
		t.Errorf("without a writer, %d bytes are read, and %v", count, err)
	}
	if input.Waited() == 0 {
		t.Error("no time was spent waiting")
	}
	go func() { _ = os.WriteFile(path, []byte("text"), 0) }()
	if text, err := readAll(input); text != "text" || err != io.EOF {
		t.Errorf("%q is read, and then %v", text, err)
	}
}

func TestReadingAPipeEndsWithItsCall(t *testing.T) {
	folder := realTempDir(t)
	if err := unix.Mkfifo(filepath.Join(folder, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err := open(t, folder, "pipe").Read(ctx, make([]byte, 1), always)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("reading ends with %v", err)
	}
}

func TestWhatCanNotBeReadIsNamed(t *testing.T) {
	folder := realTempDir(t)
	for path, want := range map[string]string{
		"missing": "can't read missing: no such file or directory",
		".":       "can't read .: is a directory",
		"../x":    "can't read ../x: it is outside the folders that ingest serves",
		"-":       "ingest does not serve standard input",
	} {
		_, err := newFolders(t, folder).Open(path)
		var source *SourceError
		if !errors.As(err, &source) || err.Error() != want {
			t.Errorf("opening %s fails with %v, want %s", path, err, want)
		}
	}
}

func open(t *testing.T, folder, path string) Input {
	t.Helper()
	input, err := newFolders(t, folder).Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = input.Close() })
	return input
}

func readAll(input Input) (string, error) {
	var text []byte
	buffer := make([]byte, 3)
	for {
		count, err := input.Read(context.Background(), buffer, always)
		if err != nil {
			return string(text), err
		}
		text = append(text, buffer[:count]...)
	}
}
