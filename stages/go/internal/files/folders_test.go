package files

import (
	"os"
	"path/filepath"
	"testing"
)

func newFolders(t *testing.T, paths ...string) *Folders {
	t.Helper()
	folders, err := NewFolders(paths, false)
	if err != nil {
		t.Fatal(err)
	}
	return folders
}

// realTempDir is t.TempDir without links, which macOS has in its path.
func realTempDir(t *testing.T) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func TestAPathOutsideTheFoldersIsNotFound(t *testing.T) {
	base := realTempDir(t)
	inside, outside := filepath.Join(base, "in"), filepath.Join(base, "in-not")
	for _, folder := range []string{inside, outside} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(outside, "secret"), "")
	link(t, filepath.Join(outside, "secret"), filepath.Join(inside, "link"))
	link(t, outside, filepath.Join(inside, "folder"))
	link(t, filepath.Join(outside, "new"), filepath.Join(inside, "dangling"))
	link(t, "loop", filepath.Join(inside, "loop"))
	folders := newFolders(t, inside)
	for _, path := range []string{
		"../in-not/secret", filepath.Join(outside, "secret"), "link", "folder/secret",
		"folder/new", "folder/../in-not/secret", "dangling", "loop", "loop/new", "..", "/",
	} {
		if target, ok := folders.locate(path); ok {
			t.Errorf("%s is found as %s", path, target)
		}
	}
}

func TestWithoutFoldersNoPathIsFound(t *testing.T) {
	path := filepath.Join(realTempDir(t), "file")
	write(t, path, "")
	if target, ok := newFolders(t).locate(path); ok {
		t.Errorf("%s is found as %s", path, target)
	}
}

func TestAPathInsideTheFoldersIsFoundWithLinksResolved(t *testing.T) {
	first, second := realTempDir(t), realTempDir(t)
	write(t, filepath.Join(second, "there"), "")
	link(t, "there", filepath.Join(second, "link"))
	folders := newFolders(t, first, second)
	for path, want := range map[string]string{
		"there":                          filepath.Join(second, "there"),
		"link":                           filepath.Join(second, "there"),
		filepath.Join(second, "there"):   filepath.Join(second, "there"),
		"new":                            filepath.Join(first, "new"),
		"missing/../new":                 filepath.Join(first, "new"),
		filepath.Join(second, "./a/new"): filepath.Join(second, "a/new"),
	} {
		if target, ok := folders.locate(path); !ok || target != want {
			t.Errorf("%s is found as %q, want %s", path, target, want)
		}
	}
}
