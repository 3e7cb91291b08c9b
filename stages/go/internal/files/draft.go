package files

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const draftBufferBytes = 64 * 1024

// A Draft is a file that is written beside the path where it will be published. Until
// Publish, an earlier file at that path is as it was.
type Draft struct {
	target string
	file   *os.File
	buffer *bufio.Writer
	size   uint64
	// Whether the draft has become the result, so that there is nothing to discard.
	published bool
}

// NewDraft starts the result file at path. Links are followed, and the permissions of an
// earlier file are kept. Its caller must call Discard in the end.
func (f *Folders) NewDraft(path string) (*Draft, error) {
	target, ok := f.locate(path)
	if !ok {
		return nil, &SinkError{fmt.Sprintf(
			"can't write %s: it is outside the folders that the sink serves", path)}
	}
	earlier, err := os.Stat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, cantWrite(target, err)
	case earlier.IsDir():
		return nil, cantWrite(target, errors.New("it is a folder"))
	case !earlier.Mode().IsRegular():
		// A rename would replace a device or pipe instead of writing to it.
		return nil, cantWrite(target, errors.New("it is not a regular file"))
	}
	name := fmt.Sprintf(".%s.%s.partial", filepath.Base(target), rand.Text()[:8])
	file, err := os.OpenFile(
		filepath.Join(filepath.Dir(target), name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, cantWrite(target, err)
	}
	draft := &Draft{target: target, file: file, buffer: bufio.NewWriterSize(file, draftBufferBytes)}
	if earlier != nil {
		if err := file.Chmod(earlier.Mode()); err != nil {
			draft.Discard()
			return nil, cantWrite(target, err)
		}
	}
	return draft, nil
}

// Write appends data.
func (d *Draft) Write(data []byte) error {
	if _, err := d.buffer.Write(data); err != nil {
		return cantWrite(d.target, err)
	}
	d.size += uint64(len(data))
	return nil
}

// Size returns how many bytes were written.
func (d *Draft) Size() uint64 { return d.size }

// Publish writes the draft to disk and renames it to its path.
func (d *Draft) Publish() error {
	if err := d.publish(); err != nil {
		return cantWrite(d.target, err)
	}
	return nil
}

func (d *Draft) publish() error {
	if err := d.buffer.Flush(); err != nil {
		return err
	}
	if err := d.file.Sync(); err != nil {
		return err
	}
	if err := d.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(d.file.Name(), d.target); err != nil {
		return err
	}
	d.published = true
	return syncFolder(filepath.Dir(d.target))
}

// Discard removes the draft, unless it is published.
func (d *Draft) Discard() {
	if !d.published {
		_ = d.file.Close()
		_ = os.Remove(d.file.Name())
	}
}

// syncFolder makes a rename in a folder last.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if errors.Is(err, syscall.EINVAL) { // some file systems can't
		err = nil
	}
	return errors.Join(err, folder.Close())
}
