//! The files that protection is made of, and whether they have changed.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::engine::fingerprint::Fingerprint;

/// The files read, with what was in them.
#[derive(Debug, Default)]
pub struct Files(Vec<(PathBuf, Option<Fingerprint>)>);

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: expected {expected}", path.display())]
pub struct Refused {
    /// The file.
    pub path: PathBuf,
    /// What it should have been.
    pub expected: String,
}

impl Files {
    /// The content of a file, which is remembered.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn read(&mut self, path: &Path) -> Result<Vec<u8>, Refused> {
        let content = std::fs::read(path);
        self.0.push((path.to_owned(), content.as_ref().ok().map(Fingerprint::of)));
        content.map_err(|error| Refused {
            path: path.to_owned(),
            expected: format!("a file that can be read ({error})"),
        })
    }

    /// Whether a file that was read has another content now.
    pub fn have_changed(&self) -> bool {
        let now = |path: &Path| std::fs::read(path).ok().map(Fingerprint::of);
        self.0.iter().any(|(path, content)| now(path) != *content)
    }
}

/// A certificate or key in PEM.
#[derive(Debug, Clone)]
pub enum Pem {
    /// In a file of its own.
    File(PathBuf),
    /// Written in another file, which is named.
    Inline(PathBuf, Inline),
}

/// A text that is not shown.
#[derive(Clone)]
pub struct Inline(pub String);

impl std::fmt::Debug for Inline {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Inline(..)")
    }
}

impl Pem {
    /// Its text.
    ///
    /// # Errors
    ///
    /// If its file cannot be read.
    pub fn read(&self, files: &mut Files) -> Result<Cow<'_, [u8]>, Refused> {
        match self {
            Pem::File(path) => files.read(path).map(Cow::Owned),
            Pem::Inline(_, Inline(text)) => Ok(Cow::Borrowed(text.as_bytes())),
        }
    }

    /// Says that it is not what was `expected`.
    pub fn refused(&self, expected: &str) -> Refused {
        let (Pem::File(path) | Pem::Inline(path, _)) = self;
        Refused { path: path.clone(), expected: expected.to_owned() }
    }
}
