//! The names that a guest sees: its channels' aliases, and the directories that they imply.

use super::errno::Errno;
use std::collections::HashMap;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A channel, by its number.
    Channel(usize),
    /// A directory, by its number; 0 is the root.
    Directory(usize),
}

/// The root's number.
pub(super) const ROOT: usize = 0;

/// A tree of names, made once and never changed.
#[derive(Debug)]
pub(super) struct Names {
    directories: Vec<Directory>,
}

#[derive(Debug, Default)]
struct Directory {
    parent: usize,
    nodes: HashMap<String, Node>,
    /// The names in the manifest's order.
    order: Vec<String>,
}

impl Names {
    /// Makes the tree. `aliases` are the channels' in the order of their numbers. One that lies below another channel has no
    /// name, for a channel is no directory; nor has one with a part that a path can't say.
    pub(super) fn new<'a>(aliases: impl IntoIterator<Item = &'a str>) -> Names {
        let mut names = Names { directories: vec![Directory::default()] };
        for (channel, alias) in aliases.into_iter().enumerate() {
            names.add(alias, channel);
        }
        names
    }

    fn add(&mut self, alias: &str, channel: usize) {
        let path = alias.strip_prefix('/').unwrap_or(alias);
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return;
        }
        let mut components = path.split('/').peekable();
        let mut at = ROOT;
        while let Some(component) = components.next() {
            let known = self.directories[at].nodes.get(component).copied();
            at = match (known, components.peek()) {
                (Some(Node::Directory(next)), Some(_)) => next,
                (None, Some(_)) => {
                    let next = self.directories.len();
                    self.directories.push(Directory { parent: at, ..Directory::default() });
                    self.directories[at].insert(component, Node::Directory(next));
                    next
                }
                (None, None) => return self.directories[at].insert(component, Node::Channel(channel)),
                (Some(_), _) => return,
            };
        }
    }

    /// Follows a path from a directory.
    ///
    /// # Errors
    /// NOTCAPABLE: absolute, or above the root. NOENT: no such name. NOTDIR: a channel used as a directory, by a trailing
    /// slash too.
    pub(super) fn resolve(&self, base: usize, path: &str) -> Result<Node, Errno> {
        if path.starts_with('/') {
            return Err(Errno::NOTCAPABLE);
        }
        if path.is_empty() {
            return Err(Errno::NOENT);
        }
        let mut at = Node::Directory(base);
        for component in path.split('/') {
            let Node::Directory(directory) = at else { return Err(Errno::NOTDIR) };
            let here = &self.directories[directory];
            at = match component {
                "" | "." => at,
                ".." if directory == ROOT => return Err(Errno::NOTCAPABLE),
                ".." => Node::Directory(here.parent),
                name => *here.nodes.get(name).ok_or(Errno::NOENT)?,
            };
        }
        Ok(at)
    }

    /// The entries of a directory, `.` and `..` first, then in the manifest's order.
    pub(super) fn entries(&self, directory: usize) -> impl Iterator<Item = (&str, Node)> {
        let here = &self.directories[directory];
        let own = [(".", Node::Directory(directory)), ("..", Node::Directory(here.parent))];
        own.into_iter().chain(
            here.order.iter().filter_map(|name| here.nodes.get(name).map(|node| (name.as_str(), *node))),
        )
    }
}

impl Directory {
    fn insert(&mut self, name: &str, node: Node) {
        self.nodes.insert(name.to_owned(), node);
        self.order.push(name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new([
            "/dev/stdin",
            "/dev/stdout",
            "/dev/stderr",
            "/dev/in/data",
            "/x",
            "/x/below",
            "/dev//y",
            "/../z",
        ])
    }

    #[test]
    fn aliases_are_paths_below_the_root() {
        let names = names();
        assert_eq!(names.resolve(ROOT, "dev/stdin"), Ok(Node::Channel(0)));
        assert_eq!(names.resolve(ROOT, "./dev//in/../in/data"), Ok(Node::Channel(3)));
        let Ok(Node::Directory(dev)) = names.resolve(ROOT, "dev/") else { panic!("no directory") };
        assert_eq!(names.resolve(dev, "stdout"), Ok(Node::Channel(1)));
        assert_eq!(names.resolve(dev, "../x"), Ok(Node::Channel(4)));
        assert_eq!(names.resolve(dev, "in/../.."), Ok(Node::Directory(ROOT)));
    }

    #[test]
    fn nothing_else_is_there() {
        let names = names();
        for (path, errno) in [
            ("/dev/stdin", Errno::NOTCAPABLE),
            ("/", Errno::NOTCAPABLE),
            ("..", Errno::NOTCAPABLE),
            ("dev/../../dev", Errno::NOTCAPABLE),
            ("", Errno::NOENT),
            ("etc/passwd", Errno::NOENT),
            ("etc/../dev", Errno::NOENT),
            ("dev/stdin/", Errno::NOTDIR),
            ("dev/stdin/.", Errno::NOTDIR),
            ("dev/stdin/..", Errno::NOTDIR),
            ("x/below", Errno::NOTDIR),
        ] {
            assert_eq!(names.resolve(ROOT, path), Err(errno), "{path}");
        }
    }

    #[test]
    fn a_directory_lists_in_the_manifests_order() {
        let names = names();
        let root: Vec<_> = names.entries(ROOT).map(|(name, _)| name).collect();
        assert_eq!(root, [".", "..", "dev", "x"]);
        let Ok(Node::Directory(dev)) = names.resolve(ROOT, "dev") else { panic!("no directory") };
        let dev: Vec<_> = names.entries(dev).map(|(name, _)| name).collect();
        assert_eq!(dev, [".", "..", "stdin", "stdout", "stderr", "in"]);
    }
}
