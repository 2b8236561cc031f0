//! Any bytes as the fields of a message.

#![no_main]

#[allow(dead_code, reason = "each target uses one of its two functions")]
mod decode;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| decode::decode(bytes));
