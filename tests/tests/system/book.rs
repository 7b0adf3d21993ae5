//! The documentation as one book: every page is in it, every link leads somewhere, every message that is told how to
//! deal with is one of the program's.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below a folder with one of these endings; nothing of what is built or fetched.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    const NOT_OURS: [&str; 3] = ["target", "node_modules", "libfuzzer"];
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("its entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !path.is_symlink() && !name.starts_with('.') && !NOT_OURS.contains(&name) {
            found.extend(files(&path, ending));
        } else if name.ends_with(ending) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Lines that are text: no fence, and nothing in one.
fn text_lines(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// What stands outside of backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// Where links and pictures of a page lead, those of HTML too.
fn targets(page: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for line in text_lines(page).map(without_code) {
        for (begin, end) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            targets.extend(
                line.split(begin).skip(1).filter_map(|rest| Some(rest.split_once(end)?.0.to_owned())),
            );
        }
    }
    targets
}

/// The names by which the headings of a page are led to.
fn anchors(page: &str) -> HashSet<String> {
    let mut anchors = HashSet::new();
    let headings = text_lines(page).filter(|line| line.starts_with('#'));
    for heading in headings.map(|line| line.trim_start_matches('#').trim()) {
        let kept = heading.to_lowercase().replace(' ', "-");
        let kept: String = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
        let again = (1..).map(|n| format!("{kept}-{n}"));
        let free = std::iter::once(kept.clone()).chain(again).find(|name| !anchors.contains(name));
        anchors.extend(free);
    }
    anchors
}

/// What is wrong with a link from a page.
fn problem(from: &Path, target: &str) -> Option<String> {
    if ["http://", "https://", "mailto:"].iter().any(|begin| target.starts_with(begin)) {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = match path {
        "" => from.to_owned(),
        path => from.parent().expect("a folder").join(path),
    };
    let is_led_to = || anchor.is_empty() || anchors(&read(&path)).contains(anchor);
    match path.exists() {
        false => Some(format!("{}: {target} is not there", from.display())),
        true if !is_led_to() => Some(format!("{}: {target}: no heading is called so", from.display())),
        true => None,
    }
}

fn pages() -> Vec<PathBuf> {
    files(&repository().join("docs"), ".md")
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let top = repository();
    let named =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| top.join(name));
    let examples = files(&top.join("examples"), "README.md");
    let all: Vec<PathBuf> = pages().into_iter().chain(named).chain(examples).collect();
    let (mut wrong, mut links) = (Vec::new(), 0);
    for from in &all {
        for target in targets(&read(from)) {
            links += 1;
            wrong.extend(problem(from, &target));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(links > 100, "{links} links in {} pages: they are not found", all.len());
}

#[test]
fn every_page_is_in_the_book_once() {
    let docs = repository().join("docs");
    let summary = docs.join("SUMMARY.md");
    let mut told: Vec<PathBuf> = targets(&read(&summary)).iter().map(|target| docs.join(target)).collect();
    told.sort();
    let there: Vec<PathBuf> = pages().into_iter().filter(|page| *page != summary).collect();
    assert_eq!(told, there);
}

/// A source as its messages are read: those that go on in the next line on one, and nothing of its tests.
fn messages(source: &str) -> String {
    let source = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut lines = source.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + line.trim_start()).replace("\\\"", "\"")
}

/// What the page about messages quotes: its headings in backticks, in which `…` stands for anything.
fn quoted(page: &str) -> Vec<&str> {
    text_lines(page).filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect()
}

#[test]
fn every_message_that_is_told_how_to_deal_with_is_one_of_the_program() {
    let top = repository();
    let of_tests = |path: &PathBuf| {
        path.strip_prefix(&top).is_ok_and(|path| path.starts_with("tests") || path.starts_with("bench"))
    };
    let sources =
        files(&top, ".rs").into_iter().filter(|path| !of_tests(path) && !path.ends_with("tests.rs"));
    let sources: Vec<String> = sources.map(|path| messages(&read(&path))).collect();
    let page = read(&top.join("docs/troubleshooting.md"));
    let quoted = quoted(&page);
    for message in &quoted {
        let parts: Vec<&str> = message.split('…').map(str::trim).filter(|part| !part.is_empty()).collect();
        assert!(parts.iter().any(|part| part.len() > 10), "{message}: too little to be known by");
        let is_told = sources.iter().any(|source| parts.iter().all(|part| source.contains(part)));
        assert!(is_told, "docs/troubleshooting.md: no source says: {message}");
    }
    assert!(quoted.len() > 30, "{} messages: they are not found", quoted.len());
}

#[test]
fn links_anchors_and_messages_are_found_as_they_are_written() {
    let page = "# A `b` c\n[x](y.md#z) `[no](no)` ![p](q.svg)\n```sh\n# no\n[no](no)\n```\n## A b c\n<img src=\"r.png\">\n";
    assert_eq!(targets(page), ["y.md#z", "q.svg", "r.png"]);
    assert_eq!(anchors(page), HashSet::from(["a-b-c".to_owned(), "a-b-c-1".to_owned()]));
    let source =
        "bail!(\"it is \\\"wrong\\\", \\\n     and more\")\n#[cfg(test)]\nmod tests {\n\"of a test\"}";
    assert_eq!(messages(source), "bail!(\"it is \"wrong\", and more\")");
    assert_eq!(quoted("### `one … two`\n### three\n"), ["one … two"]);
}
