//! How to reach what is asked, and what its errors mean.
//!
//! * [`mongo`]: a MongoDB; [`uri`]: its connection string; [`refused_certificate`]: why TLS with it fails;
//!   [`trust`]: whose certificates are taken.

pub mod mongo;
pub mod refused_certificate;
pub mod trust;
pub mod uri;
