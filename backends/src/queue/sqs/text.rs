//! SQS carries text, and not every character at that: what it does not take goes as hexadecimal digits.

use std::borrow::Cow;

const MARK: &str = "hex:";

pub(super) fn to_text(body: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(body) {
        Ok(text) if !text.is_empty() && !text.starts_with(MARK) && text.chars().all(is_taken) => text.into(),
        _ => format!("{MARK}{}", hex::encode(body)).into(),
    }
}

pub(super) fn from_text(text: String) -> Vec<u8> {
    // What is no such text was written by somebody else, and is handed on as it is.
    let bytes = text.strip_prefix(MARK).and_then(|digits| hex::decode(digits).ok());
    bytes.unwrap_or_else(|| text.into_bytes())
}

/// Characters that SQS lets through unchanged. It takes carriage returns as well, but XML would change them.
fn is_taken(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_sent_comes_out_again() {
        for (body, sent_as) in [
            (&b"{\"version\":\"1\"}"[..], "{\"version\":\"1\"}"),
            ("ä \u{1f5fa}\t\n".as_bytes(), "ä \u{1f5fa}\t\n"),
            (b"", "hex:"),
            (b"\xff\x00", "hex:ff00"),
            (b"a\rb", "hex:610d62"),
            ("\u{ffff}".as_bytes(), "hex:efbfbf"),
            (b"hex:61", "hex:6865783a3631"),
        ] {
            assert_eq!(to_text(body), sent_as);
            assert_eq!(from_text(sent_as.to_owned()), body);
        }
        assert_eq!(from_text("hex:no digits".into()), b"hex:no digits");
    }
}
