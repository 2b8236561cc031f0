//! Any bytes as the fields of a message.

#![no_main]

mod decode;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| decode::decode(bytes));
