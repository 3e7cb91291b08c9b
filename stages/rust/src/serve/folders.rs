//! The folders that a server reads from and writes to on behalf of clients.

use std::io;
use std::path::{Component, Path, PathBuf};

/// The path that means standard input.
pub const STANDARD_INPUT: &str = "-";

/// As many links as Linux follows before it calls them a loop.
const MAX_LINKS: usize = 40;

/// Folders whose files clients may name, and perhaps standard input.
#[derive(Clone, Default)]
pub struct Folders {
    paths: Vec<PathBuf>,
    pub standard_input: bool,
}

impl Folders {
    pub fn new(paths: &[PathBuf], standard_input: bool) -> io::Result<Self> {
        let paths = paths
            .iter()
            .map(|path| Ok(real_path(&std::path::absolute(path)?)))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            paths,
            standard_input,
        })
    }

    /// Returns a path without links; `None` if it is outside the folders. A relative path is
    /// looked up in each folder in turn.
    pub fn locate(&self, path: &str) -> Option<PathBuf> {
        let served: Vec<_> = self
            .paths
            .iter()
            .map(|folder| real_path(&folder.join(path)))
            .filter(|candidate| {
                self.paths
                    .iter()
                    .any(|folder| candidate.starts_with(folder))
            })
            .collect();
        let existing = served.iter().find(|candidate| candidate.exists());
        existing.or(served.first()).cloned()
    }
}

/// Resolves links and "..", also of a path that does not exist.
fn real_path(path: &Path) -> PathBuf {
    resolved(path, 0)
}

fn resolved(path: &Path, links: usize) -> PathBuf {
    if let Ok(resolved) = path.canonicalize() {
        return resolved;
    }
    let Some(parent) = path.parent() else {
        return path.into();
    };
    // A link to a file that does not exist names that file, unless links form a loop.
    if let (Ok(target), ..MAX_LINKS) = (path.read_link(), links) {
        return resolved(&parent.join(target), links + 1);
    }
    let parent = resolved(parent, links);
    match path.components().next_back() {
        Some(Component::ParentDir) => parent.parent().unwrap_or(&parent).into(),
        Some(name) => parent.join(name),
        None => parent,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_files_in_the_folders_are_located() {
        let root = tempfile::tempdir().expect("is made");
        let root = root.path().canonicalize().expect("exists");
        let served = root.join("served");
        fs::create_dir(&served).expect("is made");
        fs::write(root.join("secret"), "").expect("is written");
        symlink("../secret", served.join("out")).expect("is made");
        symlink("loop", served.join("loop")).expect("is made");
        let folders = Folders::new(std::slice::from_ref(&served), false).expect("exist");

        let inside = Some(served.join("new"));
        assert_eq!(folders.locate("new"), inside);
        assert_eq!(
            folders.locate(&served.join("new").to_string_lossy()),
            inside
        );
        for outside in ["../secret", "out", "/etc/passwd", "a/../../secret"] {
            assert_eq!(folders.locate(outside), None, "{outside}");
        }
        assert_eq!(folders.locate("loop"), Some(served.join("loop")));
        assert_eq!(Folders::default().locate("new"), None);
    }
}
