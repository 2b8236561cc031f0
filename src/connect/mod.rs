//! How to reach what is asked, and what its errors mean.
//!
//! * [`mongo`]: a MongoDB.

pub mod mongo;
