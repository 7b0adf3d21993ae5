//! Pages of the reference that the program writes itself, and whether those in `docs/reference` are what it says now.

mod commands;
mod keys;

/// `UPDATE_TOLD=1` writes what is told now; read it as a person would before you keep it.
fn assert_is_kept(page: &str, now: &str) {
    let path = format!("{}/../docs/reference/{page}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_TOLD").is_some() {
        return std::fs::write(&path, now).expect("writing a page");
    }
    let kept = std::fs::read_to_string(&path).expect("a page of the reference");
    if kept != now {
        let differs = kept.lines().zip(now.lines()).find(|(kept, now)| kept != now);
        panic!(
            "docs/reference/{page} is not what the program says now: {differs:#?}\nUPDATE_TOLD=1 cargo test -p swath \
             reference:: writes it anew"
        );
    }
}

/// Plain text as it stands in a table of Markdown, on one line. What is in backticks stays as it is.
fn cell(text: &str) -> String {
    let mut told = String::new();
    let mut is_code = false;
    for letter in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match letter {
            '`' => is_code = !is_code,
            '|' => told.push('\\'),
            '*' | '<' if !is_code => told.push('\\'),
            _ => {}
        }
        told.push(letter);
    }
    told
}

#[test]
fn the_page_of_commands_is_what_the_program_takes() {
    assert_is_kept("commands.md", &commands::page());
}

#[test]
fn the_page_of_keys_is_what_the_schema_says() {
    assert_is_kept("keys.md", &keys::page());
}

#[test]
fn what_markdown_would_take_for_its_own_is_told_as_it_is() {
    assert_eq!(cell("'*a*' of\n<b> | `*c*|d`"), "'\\*a\\*' of \\<b> \\| `*c*\\|d`");
}
