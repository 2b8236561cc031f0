//! The text of the state file: a line that tells its format, a line of JSON with the sections, and a line
//! with the checksum of the second.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::engine::state::part::Stored;

/// The format of the file; a later one cannot be read by this version.
const FORMAT: u32 = 2;

/// What is stored of each section, by name.
pub(super) type Sections = BTreeMap<String, Arc<Stored>>;

/// The first line of the file.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
}

/// Passes on what is written and computes its CRC-32.
struct Checked<W> {
    writer: W,
    checksum: crc32fast::Hasher,
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.checksum.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Writes a file of these sections.
pub(super) fn write(sections: &Sections, mut writer: impl Write) -> io::Result<()> {
    let sections: BTreeMap<&str, &Stored> =
        sections.iter().map(|(name, stored)| (name.as_str(), &**stored)).collect();
    serde_json::to_writer(&mut writer, &Header { format: FORMAT })?;
    writer.write_all(b"\n")?;
    let mut body = Checked { writer: &mut writer, checksum: crc32fast::Hasher::new() };
    serde_json::to_writer(&mut body, &sections)?;
    let checksum = body.checksum.finalize();
    write!(writer, "\n{checksum:08x}\n")
}

/// The sections of a file, or why it cannot be used.
pub(super) fn parse(text: &str) -> Result<Sections, String> {
    let (header, rest) = text.split_once('\n').ok_or("it is cut short")?;
    let header: Header =
        serde_json::from_str(header).map_err(|_| "it was not written by usage-exporter")?;
    if header.format > FORMAT {
        return Err(format!(
            "its format {} is that of a later version; this one knows up to {FORMAT}",
            header.format
        ));
    }
    let (body, checksum) = rest.split_once('\n').ok_or("it is cut short")?;
    if format!("{:08x}\n", crc32fast::hash(body.as_bytes())) != checksum {
        return Err("its checksum is wrong".to_owned());
    }
    let sections =
        if header.format < FORMAT { of_format_1(body) } else { serde_json::from_str(body) };
    let sections: BTreeMap<String, Stored> =
        sections.map_err(|error| format!("it is not understood: {error}"))?;
    Ok(sections.into_iter().map(|(name, stored)| (name, Arc::new(stored))).collect())
}

/// The sections of the first format, which had no versions, and dots in their names.
fn of_format_1(body: &str) -> serde_json::Result<BTreeMap<String, Stored>> {
    let sections: BTreeMap<String, Box<RawValue>> = serde_json::from_str(body)?;
    let sections = sections.into_iter();
    Ok(sections
        .map(|(name, content)| (name.replacen('.', "/", 1), Stored { version: 1, content }))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_so_is_the_first_format() {
        let body = r#"{"a.b":[1],"a.c_d":{}}"#;
        let first = format!("{{\"format\":1}}\n{body}\n{:08x}\n", crc32fast::hash(body.as_bytes()));
        let sections = parse(&first).expect("sections");
        let mut second = Vec::new();
        write(&sections, &mut second).expect("a text");
        let second = String::from_utf8(second).expect("text");
        assert!(
            second.starts_with("{\"format\":2}\n{\"a/b\":{\"version\":1,\"content\":[1]}"),
            "{second}"
        );
        let again = parse(&second).expect("sections");
        assert_eq!(again.keys().collect::<Vec<_>>(), ["a/b", "a/c_d"]);
        assert_eq!(again["a/b"].content.get(), "[1]");
    }
}
