//! `[variants.NAME]`: other runs of the same file, each with some keys of its own. And `[test]`, whose `with` is
//! such a change for trials.

use toml::Value;

use super::{
    problem::{Path, Problem, nearest, short},
    tree::{Kind, Node},
};

/// Whether a name fits a pattern, in which `*` stands for any letters and `?` for one.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // The last star, and where what it stands for ends so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, end)) = star else { return false };
                star = Some((at, end + 1));
                (p, n) = (at + 1, end + 1);
            }
        }
    }
    pattern[p..].iter().all(|letter| *letter == '*')
}

/// The names of a file's variants.
pub(super) fn names(tree: &Node) -> Vec<String> {
    let Kind::Table(top) = &tree.kind else { return Vec::new() };
    match top.get("variants").map(|node| &node.kind) {
        Some(Kind::Table(variants)) => variants.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// Takes the section out of a tree, and lets one of it have its say. Whether there was any.
pub(super) fn take(tree: &mut Node, wanted: Option<&str>, problems: &mut Vec<Problem>) -> bool {
    let Kind::Table(top) = &mut tree.kind else { return false };
    let section = top.remove("variants");
    let is_there = section.is_some();
    let (origin, found) = match section {
        None => (tree.origin.clone(), None),
        Some(Node { kind: Kind::Table(mut variants), origin, .. }) => {
            if let Some((name, node)) = variants.iter().find(|(_, node)| !matches!(node.kind, Kind::Table(_)))
            {
                let path = Path::from("variants").key(name.as_str());
                let message = "must be a table of keys: { train.epochs = 20 } for instance".into();
                problems.push(Problem { origin: node.origin.clone(), path, value: None, message });
            }
            let known: Vec<String> = variants.keys().cloned().collect();
            let found = wanted.map(|name| variants.remove(name).ok_or((name, known)));
            (origin, found)
        }
        Some(node) => {
            let (path, message) = (Path::from("variants"), "must be a table: [variants.NAME]".into());
            problems.push(Problem { origin: node.origin, path, value: None, message });
            return true;
        }
    };
    match (wanted, found) {
        (Some(name), Some(Ok(variant))) => {
            rename(tree, name);
            tree.overlay(variant);
        }
        (Some(name), missing) => {
            let known = match missing {
                Some(Err((_, known))) => known,
                _ => Vec::new(),
            };
            let near = nearest(name, known.iter().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean {}?", short(near))).unwrap_or_default();
            let (path, message) = (Path::from("variants"), format!("none is called {}{hint}", short(name)));
            problems.push(Problem { origin, path, value: None, message });
        }
        (None, _) => {}
    }
    is_there
}

/// Each variant is a run of its own name.
fn rename(tree: &mut Node, variant: &str) {
    if let Kind::Table(top) = &mut tree.kind
        && let Some(Node { kind: Kind::Scalar(Value::String(name)), .. }) = top.get_mut("name")
    {
        *name = format!("{name}-{variant}");
    }
}

/// Takes `test.with` out of a tree, and lets it have its say in a trial. Whether there was any.
pub(super) fn take_trial(tree: &mut Node, is_trial: bool, problems: &mut Vec<Problem>) -> bool {
    let Kind::Table(top) = &mut tree.kind else { return false };
    let Some(Node { kind: Kind::Table(test), .. }) = top.get_mut("test") else { return false };
    let Some(with) = test.remove("with") else { return false };
    if !matches!(with.kind, Kind::Table(_)) {
        let (path, message) =
            (Path::from("test.with"), "must be a table of keys: { train.epochs = 1 } for instance");
        problems.push(Problem { origin: with.origin, path, value: None, message: message.into() });
    } else if is_trial {
        tree.overlay(with);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_pattern_fits_as_shells_have_it() {
        for (pattern, name) in
            [("*", ""), ("*resnet18*", "better-resnet18"), ("a?c", "abc"), ("a*c*", "abcabc")]
        {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("", "a"), ("resnet18", "better-resnet18"), ("a?c", "ac"), ("*a*b", "ba")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
