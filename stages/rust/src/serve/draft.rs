//! Publishes a file whole or not at all: written beside its path, synced, renamed.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that is written beside the path where it will be published. Dropping it discards
/// it, and leaves an earlier file as it was.
pub struct Draft {
    target: PathBuf,
    file: BufWriter<NamedTempFile>,
    pub size: u64,
}

impl Draft {
    /// Starts a draft of the file at `target`, which has no links.
    pub fn new(target: PathBuf) -> io::Result<Self> {
        let permissions = permissions_of(&target)?;
        let folder = target.parent().unwrap_or(Path::new("/"));
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let mut builder = tempfile::Builder::new();
        let (prefix, suffix) = (format!(".{name}."), ".partial");
        builder.prefix(&prefix).suffix(suffix);
        if let Some(permissions) = permissions {
            builder.permissions(permissions);
        }
        let file = builder.tempfile_in(folder)?;
        Ok(Self {
            target,
            file: BufWriter::new(file),
            size: 0,
        })
    }

    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.size += data.len() as u64;
        self.file.write_all(data)
    }

    /// Writes the draft to disk and renames it to its path.
    pub fn publish(self) -> io::Result<()> {
        let file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&self.target)?;
        File::open(self.target.parent().unwrap_or(Path::new("/")))?.sync_all()
    }
}

/// Returns the permissions of an earlier file; otherwise those of a new one.
fn permissions_of(target: &Path) -> io::Result<Option<Permissions>> {
    match target.metadata() {
        Ok(earlier) if earlier.is_file() => Ok(Some(earlier.permissions())),
        // A rename would replace a device, a pipe or an empty folder.
        Ok(_) => Err(io::Error::other("it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
