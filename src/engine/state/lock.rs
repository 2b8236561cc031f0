//! The lock by which two processes do not write the same state file.
//!
//! It is held on a file beside it, and on the state file itself, which is another file after every save:
//! whoever deletes one of them does not let a second process in.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use tracing::warn;

use crate::engine::state::CannotOpen;
use crate::engine::state::disk::{folder, with_suffix};

/// The lock, as far as the folder allows one.
#[derive(Debug)]
pub(super) struct Lock {
    _beside: Option<File>,
    file: Option<File>,
}

impl Lock {
    /// Takes the lock.
    pub(super) fn take(path: &Path) -> Result<Lock, CannotOpen> {
        let in_use = || CannotOpen::InUse(path.to_owned());
        let beside = with_suffix(path, "lock");
        let opened = std::fs::create_dir_all(folder(path)).and_then(|()| open_beside(&beside));
        let beside = match opened.map(|file| (file.try_lock(), file)) {
            Ok((Ok(()), file)) => Some(file),
            Ok((Err(TryLockError::WouldBlock), _)) => return Err(in_use()),
            Ok((Err(TryLockError::Error(error)), _)) | Err(error) => {
                warn!(file = %beside.display(), "the state file cannot be locked: {error}");
                None
            }
        };
        let file = lock_itself(path).map_err(|_| in_use())?;
        Ok(Lock { _beside: beside, file })
    }

    /// Goes over to the file that has taken the place of the one before, and is locked.
    pub(super) fn goes_over_to(&mut self, file: File) {
        self.file = Some(file);
    }
}

/// Opens the file beside the state file, or makes it. A link is not followed, a pipe not waited for, and
/// what is there keeps its content.
fn open_beside(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no plain file")) }
}

/// The state file has a lock of another process.
struct Held;

/// Locks the state file, where there is one. While it was opened, another may have taken its place.
fn lock_itself(path: &Path) -> Result<Option<File>, Held> {
    loop {
        let Ok(file) = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path) else {
            return Ok(None);
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Held),
            Err(TryLockError::Error(_)) => return Ok(None),
        }
        let identity = |found: std::fs::Metadata| (found.dev(), found.ino());
        let (of_file, at_path) = (file.metadata().map(identity), path.metadata().map(identity));
        if of_file.ok() == at_path.ok() {
            return Ok(Some(file));
        }
    }
}
