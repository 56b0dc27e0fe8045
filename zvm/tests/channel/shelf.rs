//! A provider whose files do what a test tells them, and log what is asked of them.

use std::collections::BTreeMap;
use std::io::SeekFrom;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use vfs_core::{
    Capabilities, Code, Configuration, Context, Control, Error, File, Finish, Flush, Host, Info, Instance,
    Kind, OpenFlags, Provider, Registry, Request, Result, Scope, Setting, SettingKind, Settings, Stat,
};
use zvm::{Channel, Channels, Failure, Manifest, RunOptions};

/// Any file: reads, writes, and positions.
pub const RANDOM: Capabilities = Capabilities::from_bits(
    Capabilities::READABLE.bits()
        | Capabilities::WRITABLE.bits()
        | Capabilities::SEEKABLE.bits()
        | Capabilities::TRUNCATABLE.bits()
        | Capabilities::POSITIONAL_READ.bits()
        | Capabilities::POSITIONAL_WRITE.bits()
        | Capabilities::STAT.bits()
        | Capabilities::CANCEL.bits(),
);
/// A pipe.
pub const PIPE: Capabilities = Capabilities::from_bits(
    Capabilities::READABLE.bits()
        | Capabilities::WRITABLE.bits()
        | Capabilities::STAT.bits()
        | Capabilities::CANCEL.bits(),
);

/// A file's content and its script.
pub struct Book {
    pub data: Vec<u8>,
    pub kind: Kind,
    pub capabilities: Capabilities,
    /// The size that stat tells; `None`: the real one.
    pub told_size: Option<Option<u64>>,
    /// The most bytes of one call.
    pub chunk: usize,
    /// Reads fail once this many bytes were read.
    pub read_error: Option<(usize, Code)>,
    /// Writes fail once the file is this long.
    pub write_error: Option<(usize, Code)>,
    /// What each way to finish gives.
    pub finish_error: Option<(Finish, Code)>,
    pub open_error: Option<Code>,
    /// Open, or each read and COMMIT, tells the sender and then waits for a cancel or the deadline.
    pub stuck_open: Option<Sender<()>>,
    pub stuck: Option<Sender<()>>,
    /// The calls, and the flags of opens.
    pub log: Vec<String>,
    pub flags: OpenFlags,
    pub settings: Vec<String>,
}

impl Book {
    pub fn new(data: impl Into<Vec<u8>>) -> Book {
        Book {
            data: data.into(),
            kind: Kind::Regular,
            capabilities: RANDOM,
            told_size: None,
            chunk: usize::MAX,
            read_error: None,
            write_error: None,
            finish_error: None,
            open_error: None,
            stuck_open: None,
            stuck: None,
            log: Vec::new(),
            flags: OpenFlags::empty(),
            settings: Vec::new(),
        }
    }

    /// The reading end of a pipe that holds all of `data`, or a writing end.
    pub fn pipe(data: impl Into<Vec<u8>>) -> Book {
        Book { kind: Kind::Stream, capabilities: PIPE, told_size: Some(None), ..Book::new(data) }
    }
}

/// All files, by name; the provider's only instance.
#[derive(Clone, Default)]
pub struct Shelf(Arc<Mutex<BTreeMap<String, Book>>>);

impl Shelf {
    /// A shelf with the three standard channels' files: `in`, `out` and `err`.
    pub fn new() -> Shelf {
        let shelf = Shelf::default();
        shelf.put("in", Book::pipe(""));
        shelf
    }

    pub fn put(&self, name: &str, book: Book) {
        self.books().insert(name.to_owned(), book);
    }

    pub fn data(&self, name: &str) -> Vec<u8> {
        self.books()[name].data.clone()
    }

    pub fn log(&self, name: &str) -> Vec<String> {
        self.books()[name].log.clone()
    }

    pub fn count(&self, name: &str, call: &str) -> usize {
        self.log(name).iter().filter(|entry| *entry == call).count()
    }

    pub fn flags(&self, name: &str) -> OpenFlags {
        self.books()[name].flags.without(OpenFlags::HINTS)
    }

    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Book)) {
        edit(self.books().get_mut(name).unwrap());
    }

    fn books(&self) -> MutexGuard<'_, BTreeMap<String, Book>> {
        self.0.lock().unwrap()
    }

    pub fn registry(&self) -> Registry {
        let registry = Registry::new(Configuration::with_provider_path(Vec::<std::path::PathBuf>::new()));
        registry.register(Box::new(self.clone())).unwrap();
        registry.register(Box::new(Plain(self.clone()))).unwrap();
        registry
    }

    /// Opens a manifest's channels: the standard ones, where `channel` is not one of them, and `channel`.
    pub fn try_open(
        &self,
        channel: &str,
        more: &str,
        control: &Control,
    ) -> std::result::Result<Channels, Failure> {
        let mut text = format!(
            "Version = 20140509\nProgram = test:program\nMemory = 65536, 0\nTimeout = 5\n{more}\nChannel = {channel}\n"
        );
        for (alias, name, quotas) in [
            ("/dev/stdin", "in", "9, 99, 0, 0"),
            ("/dev/stdout", "out", "0, 0, 9, 99"),
            ("/dev/stderr", "err", "0, 0, 9, 99"),
        ] {
            if !channel.contains(alias) {
                text += &format!("Channel = test:{name}, {alias}, 0, {quotas}\n");
            }
        }
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        let options = RunOptions::new().job("nightly").writers("test:many", 3);
        Channels::open(&manifest, &self.registry(), &options, control)
    }

    /// Opens `source, type, gets, get_size, puts, put_size` as the channel `/x`, handle 3.
    pub fn open(&self, channel: &str) -> Channels {
        let (source, rest) = channel.split_once(',').unwrap();
        self.try_open(&format!("{source}, /x, {rest}"), "", &Control::new()).unwrap()
    }
}

/// The channel that [`Shelf::open`] opens.
pub fn x(channels: &mut Channels) -> &mut Channel {
    let handle = channels.handle_of("/x").unwrap();
    channels.by_handle(handle).unwrap()
}

const ALL_FLAGS: OpenFlags = OpenFlags::from_bits(0xff);

impl Provider for Shelf {
    fn info(&self) -> Info {
        let setting = |name: &str| Setting::new(name, SettingKind::Text, "who opens").scope(Scope::OPEN);
        Info::new("test", "1", "files that follow a script")
            .supported_flags(ALL_FLAGS)
            .setting(setting("node"))
            .setting(setting("job"))
            .setting(setting("writers"))
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(self.clone()))
    }
}

/// The same files under the scheme `plain`, without flags but READ and WRITE, as a network's provider.
struct Plain(Shelf);

impl Provider for Plain {
    fn info(&self) -> Info {
        Info::new("plain", "1", "as test").supported_flags(OpenFlags::READ | OpenFlags::WRITE)
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(self.0.clone()))
    }
}

impl Instance for Shelf {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let (name, flags) = (request.rest().to_owned(), request.flags());
        let mut books = self.books();
        if flags.contains(OpenFlags::CREATE) || name.starts_with("new") {
            books.entry(name.clone()).or_insert_with(|| Book::new(""));
        }
        let book = books.get_mut(&name).ok_or_else(|| Error::from(Code::ENOENT))?;
        book.log.push("open".into());
        book.flags = flags;
        book.settings = ["node", "job", "writers"]
            .iter()
            .filter_map(|name| Some(request.settings().text(name)?.to_owned()))
            .collect();
        if flags.contains(OpenFlags::PREALLOCATE) {
            book.log.push(format!("reserve {:?}", request.expected_size()));
        }
        if let Some(code) = book.open_error {
            return Err(code.into());
        }
        if flags.contains(OpenFlags::TRUNCATE) {
            book.data.clear();
        }
        if let Some(sender) = book.stuck_open.clone() {
            drop(books);
            wait(request.context(), &sender)?;
        }
        let context = request.context().clone();
        Ok(Box::new(Reader {
            shelf: self.clone(),
            name,
            context,
            append: flags.contains(OpenFlags::APPEND),
            at: 0,
        }))
    }
}

fn wait(context: &Context, sender: &Sender<()>) -> Result<()> {
    let _ = sender.send(());
    context.sleep(Duration::from_secs(20))?;
    Err(Error::new(Code::EIO, "nobody cancelled"))
}

/// An open file; its position is its own.
struct Reader {
    shelf: Shelf,
    name: String,
    context: Context,
    append: bool,
    at: usize,
}

impl Reader {
    fn book<T>(&self, call: &str, work: impl FnOnce(&mut Book) -> T) -> T {
        let mut books = self.shelf.books();
        let book = books.get_mut(&self.name).unwrap();
        if !call.is_empty() {
            book.log.push(call.into());
        }
        work(book)
    }

    fn take(book: &Book, buf: &mut [u8], at: usize) -> Result<usize> {
        if let Some((limit, code)) = book.read_error
            && at >= limit
        {
            return Err(code.into());
        }
        let end = book.read_error.map_or(book.data.len(), |(limit, _)| limit.min(book.data.len()));
        let data = book.data.get(at..end).unwrap_or(&[]);
        let count = data.len().min(buf.len()).min(book.chunk);
        buf[..count].copy_from_slice(&data[..count]);
        Ok(count)
    }

    fn give(book: &mut Book, buf: &[u8], at: usize) -> Result<usize> {
        let mut count = buf.len().min(book.chunk);
        if let Some((limit, code)) = book.write_error {
            count = count.min(limit.saturating_sub(at));
            if count == 0 {
                return Err(code.into());
            }
        }
        if book.data.len() < at + count {
            book.data.resize(at + count, 0);
        }
        book.data[at..at + count].copy_from_slice(&buf[..count]);
        Ok(count)
    }
}

impl File for Reader {
    fn capabilities(&self) -> Capabilities {
        self.book("", |book| book.capabilities)
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if let Some(sender) = self.book("", |book| book.stuck.clone()) {
            wait(&self.context, &sender)?;
        }
        let at = self.at;
        let count = self.book("read", |book| Reader::take(book, buf, at))?;
        self.at += count;
        Ok(count)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        let (at, append) = (self.at, self.append);
        let (at, count) = self.book("write", |book| {
            let at = if append { book.data.len() } else { at };
            Reader::give(book, buf, at).map(|count| (at, count))
        })?;
        self.at = at + count;
        Ok(count)
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => usize::try_from(at).map_err(|_| Error::from(Code::EOVERFLOW))?,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by as isize),
            SeekFrom::End(by) => self.book("", |book| book.data.len()).saturating_add_signed(by as isize),
        };
        Ok(self.at as u64)
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        self.book("truncate", |book| book.data.resize(size as usize, 0));
        Ok(())
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        self.book(&format!("{level:?}"), |_| Ok(()))
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        let stuck = self.book(&format!("{how:?}"), |book| match book.finish_error {
            Some((when, code)) if when == how => Err(Error::from(code)),
            _ => Ok(book.stuck.clone()),
        })?;
        match stuck {
            Some(sender) if how == Finish::Commit => wait(&self.context, &sender),
            _ => Ok(()),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.book("read", |book| Reader::take(book, buf, usize::try_from(offset).unwrap_or(usize::MAX)))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        self.book("write", |book| Reader::give(book, buf, offset as usize))
    }

    fn stat(&mut self) -> Result<Stat> {
        self.book("", |book| {
            let mut stat = Stat::of_kind(book.kind);
            stat.size = book.told_size.unwrap_or(Some(book.data.len() as u64));
            Ok(stat)
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.book("close", |_| ());
    }
}
