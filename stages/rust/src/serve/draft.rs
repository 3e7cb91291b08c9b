//! Publishes a file whole or not at all: written beside its path, synced, renamed.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
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
        // Like that of any new file, its mode is up to the umask. That of an earlier file is
        // kept as it is.
        builder.permissions(Permissions::from_mode(0o666));
        let file = builder.tempfile_in(folder)?;
        if let Some(permissions) = permissions {
            file.as_file().set_permissions(permissions)?;
        }
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_draft_replaces_the_file_and_keeps_its_permissions() {
        let folder = tempfile::tempdir().expect("is made");
        let target = folder.path().join("result");
        fs::write(&target, "earlier").expect("is written");
        fs::set_permissions(&target, Permissions::from_mode(0o666)).expect("are set");

        let mut draft = Draft::new(target.clone()).expect("is started");
        draft.write(b"whole").expect("is written");
        assert_eq!(fs::read(&target).expect("is there"), b"earlier");
        draft.publish().expect("is published");

        assert_eq!(fs::read(&target).expect("is there"), b"whole");
        let mode = target.metadata().expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
        assert_eq!(fs::read_dir(folder.path()).expect("is there").count(), 1);
    }

    #[test]
    fn a_draft_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().expect("is made");

        let mut draft = Draft::new(folder.path().join("result")).expect("is started");
        draft.write(b"part").expect("is written");
        drop(draft);

        assert_eq!(fs::read_dir(folder.path()).expect("is there").count(), 0);
    }

    #[test]
    fn only_a_regular_file_is_replaced() {
        let folder = tempfile::tempdir().expect("is made");

        assert!(Draft::new(folder.path().into()).is_err());
        assert!(Draft::new("/dev/null".into()).is_err());
    }
}
