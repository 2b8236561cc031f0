//! The state file: what survives a restart.
//!
//! The file is a line that tells its format, a line of JSON with one section for each part of a source,
//! and a line with the checksum of the second. It is replaced as a whole: written beside its place,
//! synchronised with the disk and renamed. A process that is killed at any moment leaves either the old
//! file or the new one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::Utc;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracing::{error, info, warn};

use crate::exposition::own::StateMetrics;

/// The format of the file; a later one cannot be read by this version.
const FORMAT: u32 = 1;

/// A part of the state as JSON, and its name.
pub type Section = (&'static str, Box<RawValue>);

/// The state file, or none.
#[derive(Clone)]
pub struct StateFile(Option<Arc<Mutex<Inner>>>);

struct Inner {
    path: PathBuf,
    sections: BTreeMap<String, Kept>,
    /// The number of the newest save, so that one which was overtaken changes nothing.
    newest: u64,
    failing: bool,
    metrics: StateMetrics,
    /// Held as long as the process lives.
    _lock: Option<File>,
}

/// A section and the number of the save that it came with.
struct Kept {
    json: Box<RawValue>,
    save: u64,
}

/// The first line of the file.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
}

/// Passes on what is written and computes its CRC-32.
struct Checked<W> {
    writer: W,
    checksum: crc32fast::Hasher,
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.checksum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Another process uses the state file.
#[derive(Debug, thiserror::Error)]
#[error(
    "the state file {} is in use by another usage-exporter; give each a STATE_FILE of its own",
    .0.display()
)]
pub struct InUse(PathBuf);

/// Why a state cannot be used, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

impl StateFile {
    /// No file: nothing survives.
    pub fn off() -> StateFile {
        StateFile(None)
    }

    /// Opens the file, or begins one. A file that cannot be used is set aside, with an error in the
    /// log; a folder that cannot be written is a warning now and at every save.
    ///
    /// # Errors
    ///
    /// If another process uses the file.
    pub fn open(path: &Path, metrics: StateMetrics) -> Result<StateFile, InUse> {
        let lock = lock(path)?;
        let mut inner = Inner {
            path: path.to_owned(),
            sections: BTreeMap::new(),
            newest: 0,
            failing: false,
            metrics,
            _lock: lock,
        };
        match read(path) {
            Ok(sections) => {
                let kept = sections.into_iter().map(|(name, json)| (name, Kept { json, save: 0 }));
                inner.sections = kept.collect();
                info!(file = %path.display(), "state read");
            }
            Err(ReadError::Missing) => info!(file = %path.display(), "no state file yet"),
            Err(ReadError::Unusable(why)) => inner.set_aside(&why),
        }
        Ok(StateFile(Some(Arc::new(Mutex::new(inner)))))
    }

    /// A section of the file, where there is one.
    ///
    /// # Errors
    ///
    /// If it does not hold what this version expects.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Unusable> {
        let Some(inner) = &self.0 else { return Ok(None) };
        let inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = inner.sections.get(name) else { return Ok(None) };
        serde_json::from_str(kept.json.get())
            .map(Some)
            .map_err(|error| Unusable(format!("its section {name} cannot be read: {error}")))
    }

    /// Moves the file aside and forgets its sections, because of `why`.
    pub fn set_aside(&self, why: &str) {
        if let Some(inner) = &self.0 {
            inner.lock().unwrap_or_else(PoisonError::into_inner).set_aside(why);
        }
    }

    /// Replaces a section without writing the file; the next save does.
    pub fn keep(&self, (name, json): Section) {
        if let Some(inner) = &self.0 {
            let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.newest += 1;
            let save = inner.newest;
            inner.sections.insert(name.to_owned(), Kept { json, save });
        }
    }

    /// Whether there is a file.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Replaces sections and writes the file; true once they are on the disk.
    ///
    /// The future may be dropped: the write goes on by itself and stays whole.
    pub async fn save(&self, sections: Vec<Section>) -> bool {
        let Some(inner) = &self.0 else { return true };
        let save = {
            let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.newest += 1;
            inner.newest
        };
        let inner = Arc::clone(inner);
        let saving = tokio::task::spawn_blocking(move || {
            inner.lock().unwrap_or_else(PoisonError::into_inner).save(sections, save)
        });
        saving.await.unwrap_or(false)
    }
}

/// A part of the state as JSON.
///
/// # Errors
///
/// If `state` has a map whose keys are no strings.
pub fn encode<T: Serialize>(name: &'static str, state: &T) -> serde_json::Result<Section> {
    Ok((name, serde_json::value::to_raw_value(state)?))
}

impl Inner {
    fn save(&mut self, sections: Vec<Section>, save: u64) -> bool {
        for (name, json) in sections {
            if self.sections.get(name).is_none_or(|kept| kept.save < save) {
                self.sections.insert(name.to_owned(), Kept { json, save });
            }
        }
        let written = self.write();
        match &written {
            Ok(()) => {
                self.metrics.saved.set(Utc::now().timestamp_millis() as f64 / 1000.0);
                if std::mem::take(&mut self.failing) {
                    info!(file = %self.path.display(), "the state can be saved again");
                }
            }
            Err(error) => {
                self.metrics.failures.inc();
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(
                        file = %self.path.display(),
                        "the state cannot be saved, so a restart may count anew: {error}; the \
                         folder must be writable and have free space"
                    );
                }
            }
        }
        written.is_ok()
    }

    fn write(&self) -> io::Result<()> {
        let sections: BTreeMap<&str, &RawValue> =
            self.sections.iter().map(|(name, kept)| (name.as_str(), &*kept.json)).collect();
        let beside = with_suffix(&self.path, "new");
        let mut writer = BufWriter::new(File::create(&beside)?);
        serde_json::to_writer(&mut writer, &Header { format: FORMAT })?;
        writer.write_all(b"\n")?;
        let mut body = Checked { writer: &mut writer, checksum: crc32fast::Hasher::new() };
        serde_json::to_writer(&mut body, &sections)?;
        let checksum = body.checksum.finalize();
        write!(writer, "\n{checksum:08x}\n")?;
        writer.into_inner()?.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        // The rename is in the folder, which is synchronised by itself.
        File::open(folder(&self.path))?.sync_all()
    }

    fn set_aside(&mut self, why: &str) {
        self.sections.clear();
        let aside =
            with_suffix(&self.path, &Utc::now().format("%Y-%m-%dT%H-%M-%S%.3fZ").to_string());
        match std::fs::rename(&self.path, &aside) {
            Ok(()) => error!(
                file = %self.path.display(),
                moved_to = %aside.display(),
                "the state cannot be used: {why}; counters begin again at what is stored"
            ),
            Err(error) => error!(
                file = %self.path.display(),
                "the state cannot be used: {why}; it cannot be moved aside either: {error}; counters \
                 begin again at what is stored"
            ),
        }
    }
}

enum ReadError {
    Missing,
    Unusable(String),
}

fn read(path: &Path) -> Result<BTreeMap<String, Box<RawValue>>, ReadError> {
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ReadError::Missing,
        _ => ReadError::Unusable(format!("it cannot be read: {error}")),
    })?;
    parse(&text).map_err(ReadError::Unusable)
}

fn parse(text: &str) -> Result<BTreeMap<String, Box<RawValue>>, String> {
    let (header, rest) = text.split_once('\n').ok_or("it is cut short")?;
    let header: Header =
        serde_json::from_str(header).map_err(|_| "it was not written by usage-exporter")?;
    if header.format > FORMAT {
        return Err(format!(
            "its format {} is that of a later version; this one knows up to {FORMAT}",
            header.format
        ));
    }
    let (body, checksum) = rest.split_once('\n').ok_or("it is cut short")?;
    if format!("{:08x}\n", crc32fast::hash(body.as_bytes())) != checksum {
        return Err("its checksum is wrong".to_owned());
    }
    serde_json::from_str(body).map_err(|error| format!("it is not understood: {error}"))
}

/// Takes the lock beside the file; `None` where the folder allows no lock.
fn lock(path: &Path) -> Result<Option<File>, InUse> {
    let lock = with_suffix(path, "lock");
    let opened = std::fs::create_dir_all(folder(path)).and_then(|()| File::create(&lock));
    match opened.map(|file| (file.try_lock(), file)) {
        Ok((Ok(()), file)) => Ok(Some(file)),
        Ok((Err(TryLockError::WouldBlock), _)) => Err(InUse(path.to_owned())),
        Ok((Err(TryLockError::Error(error)), _)) | Err(error) => {
            warn!(file = %lock.display(), "the state file cannot be locked: {error}");
            Ok(None)
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path with `.suffix` appended to its name.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}
