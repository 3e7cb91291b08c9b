package files

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// standardInput is the path that means standard input.
const standardInput = "-"

// maxLinks is how many links a path may lead through, as in Linux.
const maxLinks = 40

// Folders are those whose files clients may name, and perhaps standard input. Without
// folders no file may be named.
type Folders struct {
	paths         []string
	standardInput bool
}

// NewFolders returns the folders at paths. The folders need not exist.
func NewFolders(paths []string, standardInput bool) (*Folders, error) {
	folders := &Folders{standardInput: standardInput}
	working, err := os.Getwd()
	if err != nil && len(paths) > 0 {
		return nil, fmt.Errorf("can't find the working folder: %s", reason(err))
	}
	for _, path := range paths {
		folder, ok := resolve(working, path)
		if !ok {
			return nil, fmt.Errorf("folder %s: leads through too many links; name another", path)
		}
		folders.paths = append(folders.paths, folder)
	}
	return folders, nil
}

// locate returns path with links and ".." resolved; false if it is outside the folders. A
// relative path is looked up in each folder in turn.
func (f *Folders) locate(path string) (string, bool) {
	first := ""
	for _, folder := range f.paths {
		candidate, ok := resolve(folder, path)
		if !ok || !f.contain(candidate) {
			continue
		}
		if _, err := os.Stat(candidate); err == nil {
			return candidate, true
		}
		if first == "" {
			first = candidate
		}
	}
	return first, first != ""
}

func (f *Folders) contain(path string) bool {
	for _, folder := range f.paths {
		if path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/") {
			return true
		}
	}
	return false
}

// resolve returns path, which may be relative to a folder, without links and "..". Parts
// that do not exist are kept; false if there are too many links.
//
// filepath.EvalSymlinks refuses paths that do not exist, and filepath.Join removes ".."
// before links are resolved.
func resolve(folder, path string) (string, bool) {
	real := "/"
	rest := path
	if !strings.HasPrefix(path, "/") {
		rest = folder + "/" + path
	}
	links := 0
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		switch part {
		case "", ".":
			continue
		case "..":
			real = filepath.Dir(real)
			continue
		}
		next := filepath.Join(real, part)
		target, err := os.Readlink(next)
		if err != nil {
			real = next // no link, or it does not exist
			continue
		}
		if links++; links > maxLinks {
			return "", false
		}
		if strings.HasPrefix(target, "/") {
			real = "/"
		}
		rest = target + "/" + rest
	}
	return real, true
}
