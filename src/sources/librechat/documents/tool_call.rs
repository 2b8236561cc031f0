//! The one rule that tells whether a tool call failed.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use mongodb::bson::RawBsonRef;

/// What a failed call leaves in its output: LibreChat's own tools write the first, an agent's tools
/// (`@librechat/agents`) the second.
const SIGNS_OF_FAILURE: [&str; 2] = ["error processing tool", "please fix your mistakes"];

static FAILURE: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasickBuilder::new().ascii_case_insensitive(true).build(SIGNS_OF_FAILURE).ok()
});

/// How deep an output is searched. MongoDB stores nothing deeper than some 200 levels.
const MAX_DEPTH: u32 = 200;

/// Whether an output (`tool_call.output`) says that the call failed. An output that is no string is
/// searched for strings in it.
pub fn failed(output: RawBsonRef<'_>) -> bool {
    failed_within(output, MAX_DEPTH)
}

fn failed_within(output: RawBsonRef<'_>, depth: u32) -> bool {
    let Some(deeper) = depth.checked_sub(1) else { return false };
    match output {
        RawBsonRef::String(text) => FAILURE.as_ref().is_some_and(|signs| signs.is_match(text)),
        RawBsonRef::Document(document) => {
            document.iter().flatten().any(|(_, value)| failed_within(value, deeper))
        }
        RawBsonRef::Array(values) => {
            values.into_iter().flatten().any(|value| failed_within(value, deeper))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Bson, RawDocumentBuf, doc};

    use super::*;

    fn output_failed(output: impl Into<Bson>) -> bool {
        let document = doc! { "output": output.into() };
        let raw = RawDocumentBuf::try_from(&document).expect("a document of a test");
        raw.get("output").ok().flatten().is_some_and(failed)
    }

    #[test]
    fn both_kinds_of_failure_are_known_in_any_case() {
        assert!(output_failed("Error processing tool web_search"));
        assert!(output_failed("Error: 404\n Please fix your mistakes."));
        assert!(output_failed(vec![Bson::from(doc! { "text": "ERROR PROCESSING TOOL" })]));
    }

    #[test]
    fn an_output_that_speaks_of_errors_is_no_failure() {
        assert!(!output_failed("Error: the page says so"));
        assert!(!output_failed(Bson::Null));
        assert!(!output_failed(404));
    }
}
