//! Calls on names: what a folder holds, what a name is, and folders that are made and removed. No name is followed that is a link, since
//! one may lead out of the tree, or back to a folder above: such a name is neither shown nor found, and cannot be made.

use crate::attributes::shape;
use crate::calls::Call;
use crate::listings::{Listing, Seen};
use crate::log;
use crate::tree::{Entry, Node, ROOT, Top, Tree};
use fuser::FileType;
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};
use vfs_core::{Code, Error, Kind, OpenFlags, OpenOptions, Result, Shown, Stat};

/// How long a server is asked again that refuses a connection: it was there, and may be back soon. Providers themselves wait for it in
/// a file that is open, and nowhere else.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first pause, which doubles, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

impl Tree {
    /// What is known of a name in a folder: as it was listed a moment ago, or as the provider says.
    ///
    /// # Errors
    /// ENOENT, also of a link. The provider's.
    pub fn stat(&self, folder: &Node, name: &[u8], call: &Call) -> Result<(String, Stat)> {
        let descriptor = self.descriptor(folder, name)?;
        if let Top::File(..) = self.top() {
            let stat = self.patiently(call, |options| self.registry().stat(&descriptor, options))?;
            return Ok((descriptor, stat));
        }
        let seen = self.listings().seen(folder.ino, name);
        match seen {
            Seen::Current(stat) => return Ok((descriptor, stat)),
            Seen::Link => return Err(is_link(&descriptor)),
            Seen::Itself(_) | Seen::Absent | Seen::Beyond | Seen::Unlisted => {}
        }
        let stat = match self.patiently(call, |options| self.registry().stat(&descriptor, options)) {
            Err(error) if error.code() == Code::ENOENT && self.folders().has(&folder.descriptor, name) => {
                return Ok((descriptor, Stat::of_kind(Kind::Directory)));
            }
            // From a provider that follows none in what is mounted.
            Err(error) if error.code() == Code::ELOOP => return Err(is_link(&descriptor)),
            found => found?,
        };
        match seen {
            Seen::Itself(kind) if kind == stat.kind || stat.kind == Kind::Unknown => {}
            Seen::Beyond if !self.is_exact(stat.kind) => {}
            _ => self.tell_from_link(folder, name, &descriptor, stat.kind, call)?,
        }
        Ok((descriptor, stat))
    }

    /// Whether what was found under a name is there itself, rather than where a link leads.
    fn tell_from_link(
        &self,
        folder: &Node,
        name: &[u8],
        descriptor: &str,
        kind: Kind,
        call: &Call,
    ) -> Result<()> {
        if self.has_no_links(call) {
            return Ok(());
        }
        let is_folder = kind == Kind::Directory;
        let seen = match self.look(folder, call, self.is_exact(kind)) {
            Ok(listing) => {
                let seen = listing.of(name);
                self.listings().keep(folder.ino, listing);
                seen
            }
            Err(error) => match error.code() {
                // Nobody goes through a tree that cannot be listed.
                Code::ENOTSUP => return Ok(()),
                Code::EACCES | Code::EPERM if !is_folder => return Ok(()),
                _ => return Err(error.context(format!("stat {}", Shown(descriptor)))),
            },
        };
        match seen {
            Seen::Current(_) | Seen::Itself(_) | Seen::Beyond => Ok(()),
            // Some servers leave names out, such as those that begin with a dot.
            Seen::Absent | Seen::Unlisted if !is_folder => Ok(()),
            Seen::Absent | Seen::Unlisted | Seen::Link => Err(is_link(descriptor)),
        }
    }

    /// Whether something of this kind must not be taken for what it is without its folder's whole listing: a folder in which programs may
    /// remove what a link leads to.
    fn is_exact(&self, kind: Kind) -> bool {
        self.writes() && kind == Kind::Directory
    }

    /// Whether the provider is known to have only keys. Nothing that could change anything is asked where nothing is written.
    fn has_no_links(&self, call: &Call) -> bool {
        self.writes() && self.has_implied_folders(call)
    }

    /// Refuses to make a file where a link is: its provider would follow that.
    ///
    /// # Errors
    /// EEXIST: it is one. The provider's.
    pub fn refuse_link(&self, folder: &Node, name: &[u8], descriptor: &str, call: &Call) -> Result<()> {
        if matches!(self.top(), Top::File(..)) || self.has_no_links(call) {
            return Ok(());
        }
        let seen = match self.listings().seen(folder.ino, name) {
            Seen::Unlisted => match self.look(folder, call, false) {
                Ok(listing) => {
                    let seen = listing.of(name);
                    self.listings().keep(folder.ino, listing);
                    seen
                }
                // There is nothing, or nobody can say.
                Err(error)
                    if matches!(error.code(), Code::ENOENT | Code::ENOTSUP | Code::EACCES | Code::EPERM) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
            seen => seen,
        };
        match seen {
            Seen::Link => {
                let text =
                    format!("create {}: a link has that name, which is not followed", Shown(descriptor));
                Err(Error::new(Code::EEXIST, text))
            }
            _ => Ok(()),
        }
    }

    /// What is known of what a number stands for: of a version all that there is to know, whatever has its name by now; of a file that
    /// is open, what was known when it was opened.
    ///
    /// # Errors
    /// The provider's.
    pub fn stat_of(&self, node: &Node, open: Option<Stat>, call: &Call) -> Result<Stat> {
        let open = open.filter(|stat| stat.size.is_some());
        if let Some(stat) = node.known().or_else(|| open.clone().filter(|_| !node.is_written())) {
            return Ok(stat);
        }
        match self.listings().seen(node.parent, &node.name) {
            Seen::Current(stat) => Ok(stat),
            _ => match self.patiently(call, |options| self.registry().stat(&node.descriptor, options)) {
                // It was removed, and can be read on.
                Err(error) if error.code() == Code::ENOENT => open.ok_or(error),
                stat => stat,
            },
        }
    }

    /// What a folder holds, by name, and remembers what was said of each.
    ///
    /// # Errors
    /// The provider's.
    pub fn list(&self, folder: &Node, call: &Call) -> Result<Vec<Entry>> {
        if let Top::File(name, _) = self.top() {
            return Ok(vec![Entry { name: name.clone(), shape: FileType::RegularFile }]);
        }
        let listing = self.look(folder, call, true)?;
        if listing.left_out() > 0 {
            log::say(&format!(
                "list {}: left out {} names: links, and what the provider says nothing of",
                Shown(&folder.descriptor),
                listing.left_out()
            ));
        }
        let shown = listing.shown();
        let mut entries: Vec<Entry> =
            shown.map(|(name, kind)| Entry { name: name.to_owned(), shape: shape(kind) }).collect();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        self.listings().keep(folder.ino, listing);
        Ok(entries)
    }

    /// Lists a folder; unless it must be whole, only so far as that goes quickly.
    fn look(&self, folder: &Node, call: &Call, whole: bool) -> Result<Listing> {
        let listed = self.patiently(call, |options| {
            let mut listing = Listing::begin();
            self.registry().names(&folder.descriptor, options, &mut |name| {
                listing.add(name);
                if !whole && listing.break_off_if_large() {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })?;
            Ok(listing)
        });
        let mut listing = match listed {
            // It was there, so nothing lies below it any more.
            Err(error) if error.code() == Code::ENOENT && self.folders().are_implied() => Listing::begin(),
            listed => listed?,
        };
        for name in self.folders().below(&folder.descriptor) {
            listing.add_folder(name);
        }
        Ok(listing)
    }

    /// Makes a folder: where its provider's are there as soon as a key lies below, in the mounted folder only.
    ///
    /// # Errors
    /// EEXIST, the provider's.
    pub fn make_folder(&self, folder: &Node, name: &[u8], call: &Call) -> Result<String> {
        let descriptor = self.descriptor(folder, name)?;
        match self.registry().make_folder(&descriptor, &self.options(call)) {
            Err(error) if error.code() == Code::ENOTSUP && self.has_implied_folders(call) => {
                match self.stat(folder, name, call) {
                    Ok(_) => {
                        let text = format!("make folder {}: it is there", Shown(&descriptor));
                        return Err(Error::new(Code::EEXIST, text));
                    }
                    Err(error) if error.code() == Code::ENOENT => {}
                    Err(error) => return Err(error),
                }
                self.folders().add(&folder.descriptor, name);
            }
            made => made?,
        }
        self.listings().changed(folder.ino, name, Kind::Directory);
        self.changed_in(folder);
        Ok(descriptor)
    }

    /// Sets the time of what a number stands for, and says what is known of that then. Where its provider sets none it stays as it is:
    /// programs would fail otherwise.
    ///
    /// # Errors
    /// The provider's.
    pub fn set_modified(&self, node: &Node, time: SystemTime, call: &Call) -> Result<Stat> {
        let is_folder = node.shape == FileType::Directory;
        if node.ino == ROOT && matches!(self.top(), Top::File(..)) {
            return Ok(node.stat.clone());
        }
        match self.registry().set_modified(&node.descriptor, &self.options(call), time) {
            Err(error) if matches!(error.code(), Code::ENOTSUP | Code::EOVERFLOW) => {}
            set => {
                set?;
                match is_folder {
                    true => {
                        self.listings().changed(node.parent, &node.name, Kind::Directory);
                        self.has_time(node.ino, time);
                    }
                    false => self.written(node),
                }
            }
        }
        if is_folder { Ok(node.stat.clone().modified(time)) } else { self.stat_of(node, None, call) }
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// ENOTEMPTY, the provider's.
    pub fn remove_folder(&self, folder: &Node, name: &[u8], call: &Call) -> Result<()> {
        let descriptor = self.descriptor(folder, name)?;
        match self.registry().remove_folder(&descriptor, &self.options(call)) {
            Err(error) if error.code() == Code::ENOTSUP && self.has_implied_folders(call) => {
                self.refuse_full(&descriptor, call)?;
                self.folders().remove(&folder.descriptor, name);
                self.stays(folder, call);
            }
            removed => removed?,
        }
        self.listings().gone(folder.ino, name);
        self.changed_in(folder);
        Ok(())
    }

    /// Removes a file.
    ///
    /// # Errors
    /// The provider's.
    pub fn remove(&self, folder: &Node, name: &[u8], descriptor: &str, call: &Call) -> Result<()> {
        self.listings().gone(folder.ino, name);
        self.registry().remove(descriptor, &self.options(call))?;
        self.changed_in(folder);
        self.stays(folder, call);
        Ok(())
    }

    /// A folder that may be empty now is there until it is removed, as programs expect that.
    fn stays(&self, folder: &Node, call: &Call) {
        if folder.ino != ROOT
            && self.has_implied_folders(call)
            && let Ok(above) = self.node(folder.parent)
        {
            self.folders().add(&above.descriptor, &folder.name);
        }
    }

    /// Refuses to remove a folder that is implied by what lies below.
    fn refuse_full(&self, descriptor: &str, call: &Call) -> Result<()> {
        let mut is_empty = self.folders().below(descriptor).is_empty();
        let listed = self.registry().names(descriptor, &self.options(call), &mut |_| {
            is_empty = false;
            ControlFlow::Break(())
        });
        let failed =
            |code, why: &str| Err(Error::new(code, format!("remove folder {}: {why}", Shown(descriptor))));
        match listed {
            _ if !is_empty => failed(Code::ENOTEMPTY, "it is not empty"),
            Ok(()) => {
                failed(Code::ENOTSUP, "an object of another program's stands for it, which is not removed")
            }
            Err(error) if error.code() == Code::ENOENT => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether the provider's folders are there as soon as a key lies below: it writes, and knows no way to make the folder that is
    /// shown, which is there, and which any other provider would say of.
    fn has_implied_folders(&self, call: &Call) -> bool {
        self.folders().learn(|| {
            let (Top::Folder(top), options) = (self.top(), self.options(call)) else { return Some(false) };
            if !self.registry().info(top, &options).ok()?.supported_flags.contains(OpenFlags::CREATE) {
                return Some(false);
            }
            let made = self.registry().make_folder(top, &options);
            Some(made.is_err_and(|error| error.code() == Code::ENOTSUP))
        })
    }

    /// Asks something, and again while a server that was there is out of reach, as one that is started again.
    ///
    /// # Errors
    /// Those of the last answer.
    pub fn patiently<T>(&self, call: &Call, mut ask: impl FnMut(&OpenOptions) -> Result<T>) -> Result<T> {
        let (options, until) = (self.options(call), Instant::now() + PATIENCE);
        let (mut pause, longest) = PAUSES;
        loop {
            match ask(&options) {
                Err(error) if is_out_of_reach(error.code()) && Instant::now() + pause < until => {
                    if call.control().context().sleep(pause).is_err() {
                        return Err(error);
                    }
                    pause = (pause * 2).min(longest);
                }
                answer => return answer,
            }
        }
    }
}

fn is_out_of_reach(code: Code) -> bool {
    matches!(code, Code::ECONNREFUSED | Code::EHOSTUNREACH | Code::ENETUNREACH | Code::EHOSTDOWN)
}

#[cold]
fn is_link(descriptor: &str) -> Error {
    let text =
        format!("stat {}: a link, or nothing that its folder lists; it is not followed", Shown(descriptor));
    Error::new(Code::ENOENT, text)
}
