//! Reading one document of LibreChat.
//!
//! * [`message`], with [`tool_call`] and [`mcp`], and [`transaction`]: the two kinds that are read one by one;
//! * [`value`] and [`field`]: reading a value, and noting that it cannot be used;
//! * [`classes`] of strings that become label values;
//! * [`object_id`]: points in insertion order; [`id_hash`]: ids that others make up.

pub mod classes;
pub mod field;
pub mod id_hash;
pub mod mcp;
pub mod message;
pub mod object_id;
pub mod tool_call;
pub mod transaction;
pub mod value;
