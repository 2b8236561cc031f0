//! The decoding of messages against bytes that nobody would write: what `make fuzz` has found interesting,
//! and odd documents with some of their bytes changed.

use std::path::Path;

use mongodb::bson::{Document, RawDocumentBuf, doc};
use proptest::prelude::*;

use crate::decode::{count, decode};
use crate::odd_values::{FIELDS, odd_values, put};

/// The corpus of `cargo fuzz`.
const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/message");

/// The bytes of every odd value in every field, without the length and the end of the document.
fn odd_documents() -> Vec<Vec<u8>> {
    let mut documents = Vec::new();
    for (path, _) in FIELDS {
        for (_, value) in odd_values() {
            let call = doc! { "name": "search", "output": "please fix your mistakes" };
            let mut message = doc! {
                "messageId": "m1", "parentMessageId": "m0", "isCreatedByUser": false, "model": "gpt-4o",
                "user": "u1", "tokenCount": 7, "feedback": { "rating": "thumbsUp", "tag": "good" },
                "content": [{ "type": "tool_call", "tool_call": call }],
            };
            put(&mut message, path, value);
            documents.push(fields(&message));
        }
    }
    documents
}

fn fields(message: &Document) -> Vec<u8> {
    let raw = RawDocumentBuf::try_from(message).expect("a document of a test");
    let bytes = raw.as_bytes();
    bytes[4..bytes.len() - 1].to_vec()
}

#[test]
fn the_corpus_is_decoded_without_panic() {
    let files = std::fs::read_dir(CORPUS).expect("the corpus");
    let mut tried = 0;
    for file in files {
        let bytes = std::fs::read(file.expect("a file").path()).expect("bytes");
        decode(&bytes);
        count(&bytes);
        tried += 1;
    }
    assert!(tried > 100, "{tried} files in {CORPUS}");
}

#[test]
fn odd_documents_with_changed_bytes_are_decoded_without_panic() {
    let documents = odd_documents();
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
    let strategy = (0..documents.len(), changes, any::<Option<prop::sample::Index>>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&strategy, |(number, changes, cut)| {
        let mut bytes = documents[number].clone();
        for (place, byte) in changes {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        decode(&bytes);
        count(&bytes);
        Ok(())
    });
    result.expect("no panic");
}

/// Writes the odd documents to the corpus, where `make fuzz` begins.
#[test]
#[ignore = "writes files, for `make fuzz`"]
fn write_the_first_corpus() {
    std::fs::create_dir_all(Path::new(CORPUS)).expect("a folder");
    for (number, bytes) in odd_documents().into_iter().enumerate() {
        // Long texts are no use to a fuzzer.
        if bytes.len() < 1_000 {
            std::fs::write(Path::new(CORPUS).join(format!("odd-{number}")), bytes).expect("a file");
        }
    }
}
