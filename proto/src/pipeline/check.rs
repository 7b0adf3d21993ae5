//! Collects what a section finds wrong with its values, after their shape was found right.

use super::{
    problem::{Path, Problem},
    tree::{Kind, Node},
};

pub(super) struct Check<'t> {
    tree: &'t Node,
    pub problems: Vec<Problem>,
    /// Where something right stands for what was wrong or missing, and was told of.
    replaced: Vec<Path>,
}

impl<'t> Check<'t> {
    pub fn new(tree: &'t Node, problems: Vec<Problem>, replaced: Vec<Path>) -> Self {
        Self { tree, problems, replaced }
    }

    /// Nothing was found wrong so far with these keys, with what they hold or with what holds them.
    /// Only then is there a sense in comparing them.
    pub fn sound(&self, paths: &[&str]) -> bool {
        paths.iter().all(|path| {
            let path = Path::from(*path);
            let touches =
                |wrong: &Path| !wrong.0.is_empty() && (wrong.begins_with(&path) || path.begins_with(wrong));
            let told = self.problems.iter().map(|problem| &problem.path);
            !told.chain(&self.replaced).any(touches)
        })
    }

    pub fn wrong(&mut self, path: impl Into<Path>, message: impl Into<String>) {
        let (path, message) = (path.into(), message.into());
        let is_told = self.problems.iter().any(|problem| problem.path == path);
        if is_told || self.replaced.iter().any(|replaced| path.begins_with(replaced)) {
            return;
        }
        let (node, is_there) = self.tree.find(&path);
        let is_shown = is_there && !matches!(&node.kind, Kind::Table(_)) && !holds_tables(node);
        let value = is_shown.then(|| node.to_value().to_string());
        let is_table = is_there && matches!(&node.kind, Kind::Table(_) | Kind::List(_)) && !is_shown;
        let origin = if is_table { node.key_origin.clone() } else { node.origin.clone() };
        self.problems.push(Problem { origin, path, value, message });
    }

    /// Was the key written, and not left to its default?
    pub fn is_given(&self, path: &str) -> bool {
        self.tree.find(&Path::from(path)).1
    }

    pub fn need(&mut self, right: bool, path: impl Into<Path>, message: impl FnOnce() -> String) {
        if !right {
            self.wrong(path, message());
        }
    }
}

fn holds_tables(node: &Node) -> bool {
    matches!(&node.kind, Kind::List(list) if list.iter().any(|one| matches!(one.kind, Kind::Table(_))))
}
