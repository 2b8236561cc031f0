//! What the state file needs of a disk, in operations that a test can put a double under.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The operations on files. Each may block.
pub trait Disk: Send + 'static {
    /// The text of a file.
    ///
    /// # Errors
    ///
    /// If there is none, or it cannot be read.
    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    /// A new file, or an emptied one.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    fn create(&self, path: &Path) -> io::Result<File> {
        File::create(path)
    }

    /// Waits until a file or a folder is on the disk.
    ///
    /// # Errors
    ///
    /// If the disk refuses.
    fn synchronise(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Gives a file another name, in the place of any that has it.
    ///
    /// # Errors
    ///
    /// If it cannot have that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy)]
pub struct LocalDisk;

impl Disk for LocalDisk {}

/// Replaces a file as a whole: it is written beside its place, synchronised with the disk and renamed.
pub(super) fn replace(
    disk: &dyn Disk,
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let beside = with_suffix(path, "new");
    let mut writer = BufWriter::new(disk.create(&beside)?);
    write(&mut writer)?;
    writer.flush()?;
    disk.synchronise(writer.get_ref())?;
    disk.rename(&beside, path)?;
    // The rename is in the folder, which is synchronised by itself.
    disk.synchronise(&File::open(folder(path))?)
}

/// The folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path with `.suffix` appended to its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}
