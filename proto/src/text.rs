//! Files of text that people give: what is plainly something else is told by what it is, and not by its first strange
//! letter.

/// `wanted`: what the file is to be, "a profile (TOML)" for instance.
pub fn text(bytes: Vec<u8>, wanted: &str) -> Result<String, String> {
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    text.ok_or_else(|| format!("it is no text in UTF-8, and must be {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_told_with_what_it_must_be() {
        for bytes in [&b"II*\0\xff\xfe\x80"[..], b"II*\0", b"h\0i\0", b"caf\xe9"] {
            let told = text(bytes.to_vec(), "a profile (TOML)").unwrap_err();
            assert_eq!(told, "it is no text in UTF-8, and must be a profile (TOML)");
        }
        assert_eq!(text("café".into(), "a profile").as_deref(), Ok("café"));
        assert_eq!(text(Vec::new(), "a profile").as_deref(), Ok(""), "what is missing in it others say");
    }
}
