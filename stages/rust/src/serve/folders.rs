//! The folders that a server reads from and writes to on behalf of clients.

use std::io;
use std::path::{Path, PathBuf};

/// The path that means standard input.
pub const STANDARD_INPUT: &str = "-";

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
pub fn real_path(path: &Path) -> PathBuf {
    if let Ok(resolved) = path.canonicalize() {
        return resolved;
    }
    // A link to a file that does not exist names that file.
    if let Ok(target) = path.read_link() {
        return real_path(&path.parent().unwrap_or(path).join(target));
    }
    let Some(parent) = path.parent() else {
        return path.into();
    };
    let parent = real_path(parent);
    match path.components().next_back() {
        Some(std::path::Component::ParentDir) => parent.parent().unwrap_or(&parent).into(),
        Some(name) => parent.join(name),
        None => parent,
    }
}
