//! A page's fenced blocks, and the script that they are. A block's first line says what is done with it:
//!
//! | words | |
//! | --- | --- |
//! | `sh` | commands, run in order, page by page |
//! | `sh,stays` | a command that stays until the page is at its end, and must be there then |
//! | `sh,REASON` | commands that are not run here: see [`REASONS`] |
//! | `toml,FILE` and the like | a file of this name, for the commands that follow |
//! | `text`, `toml` and the like | no commands |

use std::fmt::Write as _;

/// Why commands are not run with the others.
pub const REASONS: [&str; 9] = [
    "aws",        // an account
    "docker",     // docker or podman, and images
    "kubernetes", // a cluster
    "gpu",        // a card
    "machines",   // several, or servers of one's own
    "servers",    // run by a test of its own, on the suite's
    "minutes",    // run by `make test-docs`
    "make",       // a working copy
    "data",       // of others
];
const WORDS: [&str; 5] = ["text", "toml", "json", "yaml", "python"];

#[derive(Debug, PartialEq)]
pub enum Kind {
    Run,
    Stays,
    NotRun(&'static str),
    File(String),
    Words,
}

#[derive(Debug)]
pub struct Block {
    pub kind: Kind,
    /// Of its first fence, from 1.
    pub line: usize,
    pub text: Vec<String>,
}

#[derive(Debug)]
pub struct Page {
    pub name: String,
    pub blocks: Vec<Block>,
}

/// What a line that opens or closes a block says, and by how many backticks.
fn fence(line: &str) -> Option<(usize, &str)> {
    let line = line.trim();
    let said = line.trim_start_matches('`');
    let ticks = line.len() - said.len();
    (ticks >= 3 && !said.contains('`')).then(|| (ticks, said.trim()))
}

fn kind(said: &str) -> Option<Kind> {
    let (language, word) = match said.split_once(',') {
        Some((language, word)) => (language, Some(word)),
        None => (said, None),
    };
    match (language, word) {
        ("sh", None) => Some(Kind::Run),
        ("sh", Some("stays")) => Some(Kind::Stays),
        ("sh", Some(word)) => REASONS.into_iter().find(|reason| *reason == word).map(Kind::NotRun),
        (language, _) if !WORDS.contains(&language) => None,
        (_, None) => Some(Kind::Words),
        (_, Some(file)) => file.contains('.').then(|| Kind::File(file.into())),
    }
}

impl Page {
    /// Or everything that is wrong with it.
    pub fn read(name: &str, text: &str) -> Result<Self, String> {
        let (mut blocks, mut wrong) = (Vec::new(), String::new());
        let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
        while let Some((at, opening)) = lines.next() {
            let Some((ticks, said)) = fence(opening) else { continue };
            let indent = opening.len() - opening.trim_start().len();
            let mut text = Vec::new();
            let closed = lines.by_ref().any(|(_, line)| {
                let closes = fence(line).is_some_and(|(closing, said)| closing >= ticks && said.is_empty());
                if !closes {
                    text.push(line.get(indent..).unwrap_or_default().to_owned());
                }
                closes
            });
            let known = kind(said).filter(|_| closed);
            match known {
                Some(kind) => blocks.push(Block { kind, line: at, text }),
                None if closed => {
                    let _ = writeln!(
                        wrong,
                        "{name}:{at}: what is done with a block of {said:?}? See docs/page.rs"
                    );
                }
                None => {
                    let _ = writeln!(wrong, "{name}:{at}: this block has no end");
                }
            }
        }
        if wrong.is_empty() { Ok(Self { name: name.into(), blocks }) } else { Err(wrong) }
    }

    /// Whether there is anything to run, of blocks that are not run with the others those of this reason.
    pub fn runs(&self, with: Option<&str>) -> bool {
        self.blocks.iter().any(|block| match block.kind {
            Kind::Run | Kind::Stays => with.is_none(),
            Kind::NotRun(reason) => Some(reason) == with,
            Kind::File(_) | Kind::Words => false,
        })
    }

    /// The page's lines with nothing but commands, so that bash names those of the page.
    pub fn script(&self, with: Option<&str>) -> String {
        let mut lines = vec![BEFORE.to_owned()];
        for block in &self.blocks {
            let (opens, closes) = match &block.kind {
                Kind::Run => (String::new(), ""),
                Kind::NotRun(reason) if Some(*reason) == with => (String::new(), ""),
                Kind::Stays => ("{".to_owned(), "} & stays+=($!)"),
                Kind::File(name) => (format!("cat > '{name}' <<'END_OF_FILE'"), "END_OF_FILE"),
                Kind::NotRun(_) | Kind::Words => continue,
            };
            // A page's first line is its title.
            lines.resize(block.line.saturating_sub(1).max(1), String::new());
            lines.push(opens);
            lines.extend(block.text.iter().cloned());
            lines.push(closes.to_owned());
        }
        lines.push(AFTER.to_owned());
        lines.join("\n") + "\n"
    }
}

/// A command that fails is told; and whatever stays is told to leave at the end.
const BEFORE: &str = concat!(
    r#"set -E; stays=(); trap 'echo "$PAGE:$LINENO: failed: $BASH_COMMAND" >&2' ERR; "#,
    r#"trap 'code=$?; trap "" TERM; kill -TERM 0; wait; exit $code' EXIT"#,
);
const AFTER: &str = r#"for pid in "${stays[@]}"; do kill -0 "$pid"; done"#;

#[test]
fn a_script_has_the_lines_of_its_page() {
    let text = "# A\n\n```sh\necho 1\n```\n```sh,aws\naws\n```\n```toml,a.toml\nx = 1\n```\n";
    let text = &format!("{text}  ```sh,stays\n  sleep 9\n  ```\n");
    let script = Page::read("a.md", text).expect("a page").script(None);
    let lines: Vec<_> = script.lines().collect();
    assert_eq!(lines[3], "echo 1");
    assert!(!script.contains("aws"), "{script}");
    assert_eq!(lines[8..11], ["cat > 'a.toml' <<'END_OF_FILE'", "x = 1", "END_OF_FILE"]);
    assert_eq!(lines[11..14], ["{", "sleep 9", "} & stays+=($!)"]);
    assert!(Page::read("a.md", text).expect("a page").script(Some("aws")).lines().nth(6) == Some("aws"));
}

#[test]
fn a_block_without_a_known_word_is_told_with_its_line() {
    for said in ["", "bash", "sh,", "sh,later", "toml,", "toml,here"] {
        let told = Page::read("a.md", &format!("# A\n\n```{said}\nx\n```\n")).expect_err("refused");
        assert!(told.starts_with("a.md:3: what is done"), "{told}");
    }
    let told = Page::read("a.md", "# A\n```sh\nx\n").expect_err("refused");
    assert_eq!(told, "a.md:2: this block has no end\n");
}
