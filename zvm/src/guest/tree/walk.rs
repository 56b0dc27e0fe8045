//! Follows paths.

use super::{Node, ROOT, Tree};
use crate::guest::errno::Errno;

/// The most symbolic links on one path.
const LINKS_MAX: usize = 40;

/// How far a path was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::guest) enum Followed {
    /// To its end.
    To(Place),
    /// To a directory whose names have to be fetched first.
    Unread(usize),
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::guest) struct Place {
    /// The directory that has the name.
    pub(in crate::guest) parent: usize,
    /// The last name of the path; `None`: it ends in `.` or `..`, which nothing can be made as.
    pub(in crate::guest) name: Option<String>,
    /// What is there.
    pub(in crate::guest) node: Option<Node>,
    /// The path ends in a slash, which only a directory may have.
    pub(in crate::guest) slash: bool,
}

impl Tree {
    /// Follows a path from a directory. Links on the way are followed; one at the end if `follow`, or if a slash is behind it.
    /// A last name that is not there is no error. `steps` counts the names that were looked up, also where it fails.
    ///
    /// # Errors
    /// NOTCAPABLE: absolute, or above the root, by a link too. NOENT: a name before the last is not there, or the path is
    /// empty. NOTDIR: a name before the last, or before a slash, is no directory. LOOP: too many links.
    pub(in crate::guest) fn follow(
        &self,
        base: usize,
        path: &str,
        follow: bool,
        steps: &mut u64,
    ) -> Result<Followed, Errno> {
        if path.starts_with('/') {
            return Err(Errno::NOTCAPABLE);
        }
        if path.is_empty() {
            return Err(Errno::NOENT);
        }
        // Only the last name may have slashes behind it, so that what is ahead never ends in nothing.
        let mut slash = path.ends_with('/');
        let mut ahead: Vec<&str> = path.trim_end_matches('/').rsplit('/').collect();
        let (mut at, mut links) = (base, 0);
        while let Some(name) = ahead.pop() {
            *steps += 1;
            let here = self.directory(at).ok_or(Errno::NOENT)?;
            match name {
                "" | "." => continue,
                ".." if at == ROOT => return Err(Errno::NOTCAPABLE),
                ".." if here.removed => return Err(Errno::NOENT),
                ".." => {
                    at = here.parent;
                    continue;
                }
                _ => {}
            }
            let last = ahead.is_empty();
            match self.lookup(at, name) {
                None if here.unread.is_some() => return Ok(Followed::Unread(at)),
                Some(Node::Directory(next)) if !last => at = next,
                Some(Node::Link(link)) if !last || slash || follow => {
                    links += 1;
                    let target = self.target(link).unwrap_or_default();
                    if links > LINKS_MAX {
                        return Err(Errno::LOOP);
                    }
                    if target.starts_with('/') {
                        return Err(Errno::NOTCAPABLE);
                    }
                    slash |= last && target.ends_with('/');
                    ahead.extend(target.trim_end_matches('/').rsplit('/'));
                }
                None if !last => return Err(Errno::NOENT),
                Some(Node::Channel(_) | Node::Device(_) | Node::File(_) | Node::Link(_))
                    if !last || slash =>
                {
                    return Err(Errno::NOTDIR);
                }
                node => {
                    let name = Some(name.to_owned());
                    return Ok(Followed::To(Place { parent: at, name, node, slash }));
                }
            }
        }
        let node = Some(Node::Directory(at));
        Ok(Followed::To(Place { parent: at, name: None, node, slash: false }))
    }
}
