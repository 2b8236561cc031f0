//! Any bytes as the fields of a message that is entered in a ledger and shown.

#![no_main]

#[allow(dead_code, reason = "each target uses one of its two functions")]
mod decode;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| decode::count(bytes));
