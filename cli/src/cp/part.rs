//! What came of a copy that broke, kept for a later run of the same copy: `--partial`.
//!
//! A part is a file of its own, written along with the target's new one. It begins with two places for a record, which are written in
//! turn, so that a kill in the middle of one leaves the other; then come the bytes. A record says which source they are of, how many
//! they are, and their SHA-256. What no record proves is not gone on with.

use crate::cp::digest::{BUFFER, hex};
use crate::descriptors::Assigned;
use crate::doing;
use crate::exit::warn;
use crate::log;
use crate::name::descriptor;
use crate::watch::Watch;
use clap::Args;
use indicatif::HumanBytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::io::SeekFrom;
use std::sync::Once;
use std::time::{Duration, Instant};
use vfs_core::{
    Capabilities, Code, Control, Error, Kind, Level, OpenFile, OpenFlags, OpenOptions, Registry, Result,
    Shown, Stat, below, hole, parent,
};

/// What one record takes.
const SLOT: u64 = 512;
/// Where the bytes begin: at a block of any file system.
const DATA: u64 = 4096;
/// So many bytes are lost with a kill at most, and a smaller source has no part.
const STEP: u64 = 1 << 20;
/// What removing a part may take, after a signal too.
const REMOVAL: Duration = Duration::from_secs(5);

/// Whether parts are kept, and where.
#[derive(Args, Debug, Default)]
pub struct Keep {
    /// Keep what came of a copy that breaks, in a hidden file beside DST, and let the next run go on from there if the source is
    /// proved to be the same; with --in-place DST itself is kept, and the next run compares what it has
    #[arg(long)]
    partial: bool,
    /// The same in this folder, which must be there: for a DST that is not on this machine
    #[arg(long, value_name = "DIR", value_parser = descriptor())]
    partial_dir: Option<String>,
}

impl Keep {
    pub fn is_wanted(&self) -> bool {
        self.partial || self.partial_dir.is_some()
    }

    /// Whether what is kept has no folder of its own.
    pub fn is_beside(&self) -> bool {
        self.partial_dir.is_none()
    }

    /// What the part of a target is called, and is opened with.
    fn part_of(&self, to: &Assigned<'_>) -> Result<(String, Vec<(String, String)>)> {
        let name = format!(".zvfs-part-{}", &hex(&Sha256::digest(to.descriptor))[..32]);
        let (folder, settings) = match &self.partial_dir {
            Some(folder) => (Some(folder.clone()), Vec::new()),
            None => (parent(to.descriptor), to.settings.clone()),
        };
        let place = folder.map_or_else(|| Err(nowhere(to)), |folder| below(&folder, name.as_bytes()));
        Ok((place?, settings))
    }

    /// Opens the part of a target, as far as it is proved to be of this source, whose status `stat` is. `None`: this source has none.
    ///
    /// # Errors
    /// ENOTSUP: there is no place for one. EBUSY: another copy writes it. Else its provider's.
    pub fn open(
        &self,
        registry: &Registry,
        watch: &Watch,
        (from, source, stat): (&Assigned<'_>, &OpenFile, Option<&Stat>),
        (to, target): (&Assigned<'_>, &mut OpenFile),
    ) -> Result<Option<Part>> {
        let version = stat.map_or("", |stat| stat.version.as_str());
        let size = match stat.and_then(|stat| stat.size) {
            Some(size) if size < STEP => return Ok(None),
            size => {
                size.filter(|_| !version.is_empty() && source.capabilities().contains(Capabilities::SEEKABLE))
            }
        };
        let Some(size) = size else {
            tell_once(from);
            return Ok(None);
        };
        if target.stat().is_ok_and(|stat| !matches!(stat.kind, Kind::Regular | Kind::Unknown)) {
            return Err(nowhere(to));
        }
        let (descriptor, settings) = self.part_of(to)?;
        let at = Assigned { descriptor: &descriptor, settings, within: None };
        let how = at.open(OpenFlags::READ | OpenFlags::WRITE);
        let keeping = |error: Error| doing::with(error, "keep the part", &at.shown());
        let opened = registry.open(at.descriptor, &how.clone().control(&watch.control(at.descriptor)));
        let is_there = !matches!(&opened, Err(error) if error.code() == Code::ENOENT);
        let opened = if is_there { opened } else { made(registry, watch, &at, &how) };
        let file = match opened {
            Err(error) if error.code() == Code::EBUSY => {
                return Err(keeping(error.context("another copy to the same target is running")));
            }
            Err(error) if matches!(error.code(), Code::ENOTSUP | Code::EINVAL) => {
                return Err(keeping(error.context(
                    "files cannot be gone on with there: give --partial-dir a folder of this machine",
                )));
            }
            opened => opened.map_err(keeping)?,
        };
        let needed =
            Capabilities::POSITIONAL_READ | Capabilities::POSITIONAL_WRITE | Capabilities::TRUNCATABLE;
        if !file.capabilities().contains(needed) {
            return Err(nowhere(to));
        }
        let removal = how.clone().with_flags(OpenFlags::empty());
        let source = identity(from, version, size);
        let shown = at.shown();
        let mut part = Part {
            file,
            descriptor: descriptor.clone(),
            removal,
            source,
            size,
            hasher: Sha256::new(),
            bytes: 0,
            recorded: 0,
            slot: 0,
        };
        let keeping = |error: Error| doing::with(error, "keep the part", &shown);
        // What is there and proves nothing may be anybody's, by a link of this name: it is not written to.
        if is_there && !part.resume(from).map_err(keeping)? {
            let how_removed = part.removal.clone().control(&watch.control(at.descriptor));
            registry.remove(at.descriptor, &how_removed).map_err(keeping)?;
            part.file = made(registry, watch, &at, &how).map_err(keeping)?;
        }
        Ok(Some(part))
    }
}

/// A part, open and nobody else's.
pub struct Part {
    file: OpenFile,
    descriptor: String,
    /// How it is removed.
    removal: OpenOptions,
    /// Of which source its bytes are.
    source: String,
    /// How many that has.
    size: u64,
    /// Of all its bytes.
    hasher: Sha256,
    bytes: u64,
    /// What the last record proves.
    recorded: u64,
    /// Where the next one is written.
    slot: u64,
}

impl Part {
    /// Takes what is proved of an earlier run's part, and cuts the rest off. Returns whether there is anything.
    fn resume(&mut self, from: &Assigned<'_>) -> Result<bool> {
        let mut records: Vec<Record> = Vec::new();
        for slot in 0..2 {
            records.extend(self.record_in(slot)?);
        }
        let is_new = records.is_empty()
            && self.file.stat().is_ok_and(|stat| stat.size.is_none_or(|size| size <= DATA));
        let found = records.len();
        records.retain(|record| record.source == self.source && record.bytes <= self.size);
        let is_another = records.is_empty() && found > 0;
        if let Some(slot) = self.prove(records)? {
            self.slot = 1 - slot;
        }
        self.recorded = self.bytes;
        let (part, from) = (Shown(&self.descriptor), from.shown());
        if self.bytes > 0 {
            self.file.truncate(DATA + self.bytes)?;
            let kept = HumanBytes(self.bytes);
            log::tell(
                Level::Info,
                &format!("copy {from}: goes on after the {kept} that an earlier run kept in {part}"),
            );
        } else if is_another {
            warn(&format!(
                "copy {from}: begins anew: what was kept in {part} is of another source, or this one has changed since"
            ));
        } else if is_new {
            warn(&format!("copy {from}: begins anew: {part} has nothing that an earlier run kept"));
        } else {
            warn(&format!("copy {from}: begins anew: {part} is not as an earlier run left it"));
        }
        Ok(self.bytes > 0)
    }

    /// Reads the bytes as far as a record proves them. Returns where that record is.
    fn prove(&mut self, mut records: Vec<Record>) -> Result<Option<u64>> {
        records.sort_unstable_by_key(|record| record.bytes);
        let (mut hasher, mut offset, mut proven) = (Sha256::new(), 0, None);
        let mut buf = vec![0; BUFFER];
        for record in records {
            while offset < record.bytes {
                if let Some(count) = self.hole(offset, record.bytes)? {
                    add_zeros(&mut hasher, count);
                    offset += count;
                    continue;
                }
                match self.read(&mut buf, offset, record.bytes)? {
                    0 => return Ok(proven),
                    count => {
                        hasher.update(&buf[..count]);
                        offset += count as u64;
                    }
                }
            }
            if hex(&hasher.clone().finalize()) == record.sha256 {
                (self.hasher, self.bytes, proven) = (hasher.clone(), offset, Some(record.slot));
            }
        }
        Ok(proven)
    }

    /// Reads bytes from an offset, none beyond `end`.
    fn read(&self, buf: &mut [u8], offset: u64, end: u64) -> Result<usize> {
        let wanted = usize::try_from(end - offset).map_or(buf.len(), |left| buf.len().min(left));
        self.file.read_at(&mut buf[..wanted], DATA + offset)
    }

    /// How many bytes from an offset on are a hole, none beyond `end`: zeros that need not be read.
    fn hole(&mut self, offset: u64, end: u64) -> Result<Option<u64>> {
        if !self.file.capabilities().contains(Capabilities::FD | Capabilities::SEEKABLE) {
            return Ok(None);
        }
        self.file.seek(SeekFrom::Start(DATA + offset))?;
        Ok(hole(&mut self.file)?.map(|count| count.min(end - offset)))
    }

    /// Gives a new target the bytes that are kept, as holes where it can have those, and leaves the source behind them.
    ///
    /// # Errors
    /// ESTALE: somebody else changes the part. Else any side's.
    pub fn restore(
        &mut self,
        source: &mut OpenFile,
        (target, makes_holes): (&mut OpenFile, bool),
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        if self.bytes == 0 {
            return Ok(());
        }
        let (mut buf, mut hasher, mut total) = (vec![0; BUFFER], Sha256::new(), 0);
        while total < self.bytes {
            if makes_holes && let Some(count) = self.hole(total, self.bytes)? {
                add_zeros(&mut hasher, count);
                total += count;
                grow(target, total)?;
                progress(total);
                continue;
            }
            let count = self.read(&mut buf, total, self.bytes)?;
            if count == 0 {
                break;
            }
            hasher.update(&buf[..count]);
            target.write_all(&buf[..count])?;
            total += count as u64;
            progress(total);
        }
        // It was proved when it was opened; a program that knows nothing of its lock may have written since.
        if total < self.bytes || hasher.finalize() != self.hasher.clone().finalize() {
            let text = format!("read {}: changed while it was read: copy it again", Shown(&self.descriptor));
            return Err(Error::new(Code::ESTALE, text));
        }
        source.seek(SeekFrom::Start(self.bytes)).map(|_| ())
    }

    /// How many bytes there are.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds what was read of the source.
    ///
    /// # Errors
    /// Its provider's.
    pub fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.write(bytes, DATA + self.bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        if self.bytes - self.recorded >= STEP { self.record() } else { Ok(()) }
    }

    /// Adds a hole of the source, as far as that has bytes, and gives it to the target too. Returns whether it has any.
    ///
    /// # Errors
    /// Either provider's.
    pub fn add_hole(&mut self, count: u64, target: &mut OpenFile) -> Result<bool> {
        let count = count.min(self.size - self.bytes);
        if count == 0 {
            return Ok(false);
        }
        self.file.truncate(DATA + self.bytes + count)?;
        add_zeros(&mut self.hasher, count);
        self.bytes += count;
        grow(target, self.bytes)?;
        if self.bytes - self.recorded >= STEP {
            self.record()?;
        }
        Ok(true)
    }

    /// The source is at its end, which must be that of its size.
    ///
    /// # Errors
    /// ESTALE: it is not.
    pub fn ends(&self, source: &OpenFile) -> Result<()> {
        if self.bytes == self.size {
            return Ok(());
        }
        let text = format!("read {}: it ended after {} of {} bytes", source.shown(), self.bytes, self.size);
        Err(Error::new(Code::ESTALE, text))
    }

    fn record(&mut self) -> Result<()> {
        let sha256 = hex(&self.hasher.clone().finalize());
        let record = json!({ "zvfs-part": 1, "source": self.source, "bytes": self.bytes, "sha256": sha256 });
        let line = format!("{:<width$}\n", record.to_string(), width = SLOT as usize - 1);
        self.write(line.as_bytes(), self.slot * SLOT)?;
        (self.recorded, self.slot) = (self.bytes, 1 - self.slot);
        Ok(())
    }

    fn record_in(&self, slot: u64) -> Result<Option<Record>> {
        let (mut buf, mut filled) = ([0; SLOT as usize], 0);
        while filled < buf.len() {
            match self.file.read_at(&mut buf[filled..], slot * SLOT + filled as u64)? {
                0 => return Ok(None),
                count => filled += count,
            }
        }
        Ok(Record::parse(&buf, slot))
    }

    fn write(&self, mut bytes: &[u8], mut offset: u64) -> Result<()> {
        while !bytes.is_empty() {
            let count = self.file.write_at(bytes, offset).map_err(|error| {
                let shown = Shown(&self.descriptor).to_string();
                doing::with(error.context("the copy can go on without --partial"), "keep the part", &shown)
            })?;
            bytes = &bytes[count..];
            offset += count as u64;
        }
        Ok(())
    }

    /// After a copy that failed: says what is kept, or removes what is worth nothing.
    pub fn left(mut self, error: &Error, registry: &Registry, watch: &Watch) -> Option<String> {
        // Its own error, or the signal that ends everything, also ends this: the record before it counts.
        let _ = self.record();
        if self.recorded == 0 || error.code() == Code::ESTALE {
            self.remove(registry, watch);
            return None;
        }
        watch.forget(&self.descriptor);
        Some(format!("{} are kept for the next run", HumanBytes(self.recorded)))
    }

    /// The copy is complete, or the part is of no use: removes it. It is still locked then, so that it is nobody else's.
    pub fn remove(self, registry: &Registry, watch: &Watch) {
        let control = Control::new();
        control.set_deadline(Some(Instant::now() + REMOVAL));
        if let Err(error) = registry.remove(&self.descriptor, &self.removal.clone().control(&control)) {
            warn(&format!("remove the part {}: {}", Shown(&self.descriptor), error.chain()));
        }
        watch.forget(&self.descriptor);
    }
}

/// Ends a target with a hole up to here, and goes on behind that.
fn grow(target: &mut OpenFile, size: u64) -> Result<()> {
    target.truncate(size)?;
    target.seek(SeekFrom::Start(size)).map(|_| ())
}

fn add_zeros(hasher: &mut Sha256, mut count: u64) {
    let zeros = vec![0; BUFFER];
    while count > 0 {
        let now = usize::try_from(count).map_or(BUFFER, |count| count.min(BUFFER));
        hasher.update(&zeros[..now]);
        count -= now as u64;
    }
}

/// Makes the part, a new file and no other's. `how` is without flags for that.
fn made(registry: &Registry, watch: &Watch, at: &Assigned<'_>, how: &OpenOptions) -> Result<OpenFile> {
    let how = how.clone().control(&watch.control(at.descriptor));
    let new = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    registry.open(at.descriptor, &how.with_flags(new)).map_err(|error| match error.code() {
        Code::EEXIST => error.context(
            "another copy to the same target has just begun, or it is a link that leads nowhere: remove it",
        ),
        _ => error,
    })
}

/// What proves the first bytes of a part.
struct Record {
    source: String,
    bytes: u64,
    sha256: String,
    slot: u64,
}

impl Record {
    fn parse(text: &[u8], slot: u64) -> Option<Record> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let word = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        (value.get("zvfs-part")? == 1).then_some(())?;
        Some(Record {
            source: word("source")?,
            bytes: value.get("bytes")?.as_u64()?,
            sha256: word("sha256")?,
            slot,
        })
    }
}

/// Which source it is: a digest of all that tells it from others. A descriptor may hold secrets, so it is not written down itself.
fn identity(from: &Assigned<'_>, version: &str, size: u64) -> String {
    let mut hasher = Sha256::new();
    let size = size.to_string();
    let settings = from.settings.iter().flat_map(|(name, text)| [name.as_str(), text.as_str()]);
    for text in [from.descriptor, version, &size].into_iter().chain(settings) {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    hex(&hasher.finalize())
}

fn nowhere(to: &Assigned<'_>) -> Error {
    let text = format!(
        "keep a part beside {}: no files can be kept there: give --partial-dir a folder of this machine",
        to.shown()
    );
    Error::new(Code::ENOTSUP, text)
}

/// Tells why nothing is kept of a source, once for all that are like it.
fn tell_once(from: &Assigned<'_>) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        let text = "no part is kept of it, nor of others like it: that takes a size, a version tag that proves it is the same in the next \
                    run, and positions to go on from";
        warn(&format!("copy {}: {text}", from.shown()));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_record_is_none() {
        let whole = json!({ "zvfs-part": 1, "source": "a", "bytes": 7, "sha256": "b" }).to_string();
        assert!(
            Record::parse(whole.as_bytes(), 1).is_some_and(|record| (record.bytes, record.slot) == (7, 1))
        );
        for torn in [&whole.as_bytes()[..20], &[0; 512], b"{\"zvfs-part\": 2}", b"[]"] {
            assert!(Record::parse(torn, 0).is_none());
        }
    }

    #[test]
    fn a_source_is_all_that_tells_it_from_others() {
        let source = |descriptor, settings: &[(&str, &str)], version, size| {
            let settings =
                settings.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            identity(&Assigned { descriptor, settings, within: None }, version, size)
        };
        let all = [
            source("http://h/a?1", &[], "v", 1),
            source("http://h/a?2", &[], "v", 1),
            source("http://h/a?1", &[("x", "y")], "v", 1),
            source("http://h/a?1", &[], "w", 1),
            source("http://h/a?1", &[], "v", 2),
        ];
        assert!((1..all.len()).all(|at| !all[..at].contains(&all[at])));
        assert_eq!(all[0], source("http://h/a?1", &[], "v", 1));
    }
}
