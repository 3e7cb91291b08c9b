package files

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAnEarlierResultIsKeptUntilTheDraftIsPublished(t *testing.T) {
	folder := realTempDir(t)
	path := filepath.Join(folder, "result")
	write(t, path, "early")
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	draft := newDraft(t, folder, "result")
	if err := draft.Write([]byte("late")); err != nil {
		t.Fatal(err)
	}
	checkFile(t, path, "early")
	if err := draft.Publish(); err != nil {
		t.Fatal(err)
	}
	draft.Discard()
	checkFile(t, path, "late")
	checkNames(t, folder, "result")
	status, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if status.Mode().Perm() != 0o604 || draft.Size() != 4 {
		t.Errorf("the result has mode %v and %d bytes", status.Mode(), draft.Size())
	}
}

func TestADraftThatIsDiscardedLeavesNothing(t *testing.T) {
	folder := realTempDir(t)
	draft := newDraft(t, folder, "result")
	if err := draft.Write(make([]byte, 2*draftBufferBytes)); err != nil {
		t.Fatal(err)
	}
	draft.Discard()
	checkNames(t, folder)
}

func TestALinkToTheResultIsFollowed(t *testing.T) {
	folder := realTempDir(t)
	link(t, "result", filepath.Join(folder, "latest"))
	draft := newDraft(t, folder, "latest")
	if err := draft.Publish(); err != nil {
		t.Fatal(err)
	}
	checkFile(t, filepath.Join(folder, "result"), "")
	checkNames(t, folder, "latest", "result")
	if _, err := os.Readlink(filepath.Join(folder, "latest")); err != nil {
		t.Error(err)
	}
}

func TestWhatCanNotBeWrittenIsNamed(t *testing.T) {
	folder := realTempDir(t)
	if err := unix.Mkfifo(filepath.Join(folder, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"pipe":   "can't write " + folder + "/pipe: it is not a regular file",
		".":      "can't write " + folder + ": it is a folder",
		"no/new": "can't write " + folder + "/no/new: no such file or directory",
		"../new": "can't write ../new: it is outside the folders that the sink serves",
	} {
		_, err := newFolders(t, folder).NewDraft(path)
		var sink *SinkError
		if !errors.As(err, &sink) || err.Error() != want {
			t.Errorf("writing %s fails with %v, want %s", path, err, want)
		}
	}
	checkNames(t, folder, "pipe")
}

func newDraft(t *testing.T, folder, path string) *Draft {
	t.Helper()
	draft, err := newFolders(t, folder).NewDraft(path)
	if err != nil {
		t.Fatal(err)
	}
	return draft
}

func checkFile(t *testing.T, path, want string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || string(text) != want {
		t.Errorf("%s has %q (%v), want %q", path, text, err, want)
	}
}

func checkNames(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(want) {
		t.Fatalf("the folder has %v, want %v", entries, want)
	}
	for i, entry := range entries {
		if entry.Name() != want[i] {
			t.Errorf("the folder has %v, want %v", entries, want)
		}
	}
}
