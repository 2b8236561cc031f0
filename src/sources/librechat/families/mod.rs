//! What is shown of all that is known.
//!
//! * [`messages`] and [`spending`]: the families of messages and of transactions; [`writer`]: how they are written;
//! * [`charts`]: pictures for people.

pub mod charts;
pub mod messages;
pub mod spending;
pub mod writer;
