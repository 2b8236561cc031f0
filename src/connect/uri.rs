//! The connection string of a MongoDB: what of it is used, what is left out, and what is wrong with it.
//!
//! The driver refuses a whole string for one option that it does not know, and finds other things only when
//! it connects. Here every part is looked at before anything starts: [`options`] lists what becomes of each
//! option, and [`files`] looks into the files that are named. Nothing that is told has a password in it, nor
//! the host, which is where a part of a password ends up that is not percent-encoded.

pub mod files;
pub mod options;
mod parts;

use std::fmt;
use std::path::Path;

use mongodb::options::{ConnectionString, Tls, TlsOptions};

use crate::connect::uri::parts::Parts;
use crate::settings::{Reader, Setting};

/// A connection string that can be used.
#[derive(Clone)]
pub struct Uri {
    /// As the driver takes it.
    pub connection: ConnectionString,
    /// A sentence for each part that is left out or means something else elsewhere.
    pub notes: Vec<String>,
}

impl Uri {
    /// The connection string that `setting` is, or its default; everything that is wrong with it is noted as a
    /// problem of that setting, and the answer is `None`.
    pub fn read(reader: &mut Reader, setting: &Setting) -> Option<Uri> {
        let text = reader.given(setting).unwrap_or(setting.default);
        match Uri::parse(text.trim()) {
            Ok(uri) => Some(uri),
            Err(problems) => {
                problems.iter().for_each(|problem| reader.refuse(setting, problem));
                None
            }
        }
    }

    /// Reads a connection string and looks into the files that it names.
    ///
    /// # Errors
    ///
    /// What was expected instead, for each part that is wrong.
    pub fn parse(text: &str) -> Result<Uri, Vec<String>> {
        let parts = Parts::split(text).map_err(|problem| vec![problem])?;
        let mut problems = parts.check_login();
        let mut notes = Vec::new();
        if parts.login.is_some_and(|login| login.contains('+')) {
            notes.push(
                "a `+` in the user or the password is read as a plus; pymongo reads it as a blank, \
                 which is written %20"
                    .to_owned(),
            );
        }
        problems.extend(parts.check_hosts());
        let options = parts.options(&mut problems, &mut notes);
        if !problems.is_empty() {
            return Err(problems);
        }
        parts.check_together(&options, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let connection = parts.connection(&options).map_err(|problem| vec![problem])?;
        let uri = Uri { connection, notes };
        match uri.tls().map(files::check) {
            None => Ok(uri),
            Some(Ok(more)) => Ok(Uri { notes: [uri.notes, more].concat(), ..uri }),
            Some(Err(problems)) => Err(problems),
        }
    }

    /// What is said of TLS, if it is on.
    fn tls(&self) -> Option<&TlsOptions> {
        match &self.connection.tls {
            Some(Tls::Enabled(options)) => Some(options),
            _ => None,
        }
    }

    /// The file with the only authorities whose certificates are taken, where one is named.
    pub fn authorities(&self) -> Option<&Path> {
        self.tls().and_then(|options| options.ca_file_path.as_deref())
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Uri").field("notes", &self.notes).finish_non_exhaustive()
    }
}
