//! Other exporters for LibreChat, with which `migrate` compares.
//!
//! What answers each of their families is read from the tables in `migrations-notes/`, so that the notes
//! and the comparison cannot differ.

use crate::engine::source::Peer;

/// virtuos/librechat_exporter.
pub const VIRTUOS: Peer =
    Peer { mark: None, notes: include_str!("../../../migrations-notes/from-virtuos.md") };

/// rubentalstra/librechat-prom-exporter.
pub const RUBENTALSTRA: Peer = Peer {
    mark: Some("librechat_exporter_mongo_connected"),
    notes: include_str!("../../../migrations-notes/from-rubentalstra.md"),
};

/// All of them.
pub const ALL: &[Peer] = &[VIRTUOS, RUBENTALSTRA];
