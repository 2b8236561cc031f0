//! What the state file needs of a disk, in operations that a test can put a double under.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, IntoInnerError};
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

    /// A new file, in the place of one that was left there. Nothing else is replaced: a link, which may
    /// lead to a file of somebody else, a pipe or a folder is an error.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or something else is there.
    fn create(&self, path: &Path) -> io::Result<File> {
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.is_file() => std::fs::remove_file(path)?,
            Ok(_) => {
                let what = format!("{} is no plain file; remove it", path.display());
                return Err(io::Error::other(what));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        File::options().write(true).create_new(true).open(path)
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

/// Replaces a file as a whole: it is written beside its place, synchronised with the disk and renamed. The
/// file that is there now, which is locked.
pub(super) fn replace(
    disk: &dyn Disk,
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<File> {
    let beside = with_suffix(path, "new");
    let mut writer = BufWriter::new(disk.create(&beside)?);
    write(&mut writer)?;
    let file = writer.into_inner().map_err(IntoInnerError::into_error)?;
    // Not every file system knows locks; the one beside the file is held as well.
    let _ = file.try_lock();
    disk.synchronise(&file)?;
    disk.rename(&beside, path)?;
    // The rename is in the folder, which is synchronised by itself.
    disk.synchronise(&File::open(folder(path))?)?;
    Ok(file)
}

/// Where a path leads in the end: the file that links lead to, or would.
pub(super) fn follow(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = std::fs::read_link(&path) else { break };
        path = folder(&path).join(target);
    }
    path
}

/// How many links Linux follows from one to the next.
const MOST_LINKS: usize = 40;

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
