//! rename(2) of a file, as far as a copy can stand for it: no provider renames. The new name gets the whole content at once, then the old one
//! goes, so that an editor or git replaces a file as they are used to. What is too much for that stays EXDEV, with which mv(1) copies by
//! itself: folders, and what may take longer than a call has.

use crate::calls::Call;
use crate::shared::Shared;
use crate::tree::Place;
use vfs_core::{
    Capabilities, Code, Error, Finish, Kind, OpenFile, OpenFlags, OpenOptions, Result, Shown, Stat, copy,
};

/// What is copied through this process at most, of a file whose provider lends no kernel file: some seconds over a usual line.
const LARGEST: u64 = 64 << 20;

impl Shared {
    /// Gives a file another name, in this folder or another; `is_new`: only if nothing has that.
    ///
    /// # Errors
    /// EXDEV: a program has to copy it by itself. EEXIST: something has the name, and must not, or a link does. EISDIR: a folder does. The
    /// provider's; then both names may be there, each of a whole file.
    pub fn rename(&self, from: &Place<'_>, to: &Place<'_>, is_new: bool, call: &Call) -> Result<()> {
        let old = self.tree.descriptor(from.folder, from.name)?;
        let new = self.tree.descriptor(to.folder, to.name)?;
        // As its close would: some programs rename a file that they have written, and close it then.
        if let Some(writer) = self.written(&old) {
            writer.release(call)?;
        }
        let (_, stat) = self.tree.stat(from.folder, from.name, call)?;
        if stat.kind == Kind::Directory {
            return Err(elsewhere(&old, "folders are copied, and removed then"));
        }
        self.check_target(to, &new, is_new, call)?;
        let renamed = self.copied(&old, &new, is_new, call)?;
        // What another program is writing there was to take the place of what has been replaced.
        if let Some(writer) = self.written(&new) {
            writer.remove();
        }
        self.tree.listings().changed(to.folder.ino, to.name, Kind::Regular);
        self.tree.changed_in(to.folder);
        let options = self.tree.options(call);
        if self.tree.registry().stat(&old, &options)?.version != renamed {
            let text = format!("rename {}: it changed meanwhile, and stays", Shown(&old));
            return Err(Error::new(Code::ESTALE, text));
        }
        self.tree.remove(from.folder, from.name, &old, call)?;
        let stat = self.tree.registry().stat(&new, &options).unwrap_or(stat);
        self.tree.renamed(from, to, new, &stat);
        Ok(())
    }

    fn check_target(&self, to: &Place<'_>, new: &str, is_new: bool, call: &Call) -> Result<()> {
        self.tree.refuse_link(to.folder, to.name, new, call)?;
        match self.tree.stat(to.folder, to.name, call) {
            Ok((_, there)) if there.kind == Kind::Directory => {
                Err(Error::new(Code::EISDIR, format!("rename to {}: a folder has that name", Shown(new))))
            }
            Ok(_) if is_new => {
                Err(Error::new(Code::EEXIST, format!("rename to {}: a file has that name", Shown(new))))
            }
            Err(error) if error.code() != Code::ENOENT => Err(error),
            _ => Ok(()),
        }
    }

    /// Copies it as a whole, with its time; the version that was copied.
    fn copied(&self, old: &str, new: &str, is_new: bool, call: &Call) -> Result<String> {
        let (registry, options) = (self.tree.registry(), self.tree.options(call));
        let reading = OpenFlags::READ | OpenFlags::SEQUENTIAL;
        let mut source = registry.open(old, &options.clone().with_flags(reading))?;
        let stat = match source.capabilities().contains(Capabilities::STAT) {
            true => source.stat()?,
            false => Stat::of_kind(Kind::Regular),
        };
        let is_small = stat.size.is_some_and(|size| size <= LARGEST);
        if !is_small && !source.capabilities().contains(Capabilities::FD) {
            return Err(elsewhere(old, "it is too large to be copied in one call"));
        }
        let options = stat.size.iter().fold(options, |options, size| options.expected_size(*size));
        let mut target = self.whole(new, &options, is_new)?;
        if let Some(time) = stat.modified
            && target.capabilities().contains(Capabilities::TIMES)
        {
            // A store that does not hold it gives it its own.
            let _ = target.set_modified(time);
        }
        let copied = copy(&mut source, &mut target, None, &mut |_| ());
        match copied.and_then(|_| target.finish(Finish::Commit)) {
            Ok(()) => Ok(stat.version),
            Err(error) => {
                let _ = target.finish(Finish::Discard);
                match error.code() {
                    Code::ETIMEDOUT => Err(elsewhere(old, "it takes longer to be copied than --timeout")),
                    _ => Err(error),
                }
            }
        }
    }

    /// Opens a new file of which nothing is seen before it is complete, as one that is renamed has to appear.
    fn whole(&self, new: &str, options: &OpenOptions, is_new: bool) -> Result<OpenFile> {
        let registry = self.tree.registry();
        let in_place = || elsewhere(new, "a file there can only be written in place");
        let supported = registry.supported_flags(new, options)?;
        if !supported.contains(OpenFlags::ATOMIC) || is_new && !supported.contains(OpenFlags::EXCLUSIVE) {
            return Err(in_place());
        }
        let flags = if is_new { OpenFlags::EXCLUSIVE } else { OpenFlags::TRUNCATE & supported };
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::ATOMIC | flags;
        registry.open(new, &options.clone().with_flags(flags)).map_err(|error| match error.code() {
            Code::ENOTSUP => in_place(),
            _ => error,
        })
    }
}

fn elsewhere(descriptor: &str, why: &str) -> Error {
    Error::new(Code::EXDEV, format!("rename {}: {why}", Shown(descriptor)))
}
