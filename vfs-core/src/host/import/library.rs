//! Reads a provider's table once, into the host's own memory; nothing of it is read again.
#![expect(unsafe_code, reason = "reads the other side's structs")]

use crate::abi;
use crate::boundary::Growing;
use crate::bridge::translate::kind_from_abi;
use crate::flags::{Capabilities, OpenFlags, Scope};
use crate::forks::PerProcess;
use crate::host::import::info::{check_info, check_setting_name};
use crate::host::import::read::{copy_struct, list, optional, text};
use crate::host::import::rules;
use crate::provider::{Info, Threads};
use crate::settings::Setting;
use parking_lot::{Mutex, ReentrantMutex};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;

/// The host's own copy of everything that a library says.
pub(crate) struct ImportedLibrary {
    pub(crate) table: abi::Provider,
    pub(crate) positional: Option<abi::Positional>,
    pub(crate) stat: Option<abi::StatExtension>,
    pub(crate) namespace: Option<abi::Namespace>,
    pub(crate) names: Option<abi::Names>,
    pub(crate) folders: Option<abi::Folders>,
    pub(crate) times: Option<abi::Times>,
    pub(crate) fd: Option<abi::FdExtension>,
    pub(crate) splice: Option<abi::Splice>,
    pub(crate) poll: Option<abi::Poll>,
    pub(crate) info: Info,
    /// What a file of it cannot have, whatever it says.
    pub(super) withheld: Capabilities,
    /// What has all its functions: a file that has no more than this needs no closer look.
    pub(super) complete: Capabilities,
    /// Held during each call of a library that promises nothing about threads.
    pub(crate) serial: Arc<ReentrantMutex<()>>,
}

// SAFETY: the table's functions may be called on any thread, as the header's tags say; its pointers to text were copied into
// `info` and are not read again.
unsafe impl Send for ImportedLibrary {}
// SAFETY: as above.
unsafe impl Sync for ImportedLibrary {}

impl ImportedLibrary {
    /// Copies a table and checks it. The error is the defect, in words.
    ///
    /// # Safety
    /// `table` is NULL or points to what a provider's entry returned, and stays.
    pub(super) unsafe fn new(table: *const abi::Provider) -> Result<ImportedLibrary, String> {
        if table.is_null() {
            let why =
                "the entry returned NULL: it refuses to run here, or it failed while it described itself";
            return Err(format!("{why} (a Rust provider's panic in info is on standard error)"));
        }
        let address = table as usize;
        // SAFETY: the caller's promise.
        let table = unsafe { copy_struct(table, "zvfs_provider") }?;
        if table.reserved != 0 {
            return Err("zvfs_provider.reserved is not 0".into());
        }
        // SAFETY: the table's own pointers; the header says what they point to.
        let (mut info, declared) = unsafe { read_info(&table) }?;
        if let Some(extension) = extension(&table, abi::EXT_SETTINGS)? {
            // SAFETY: the library's own table of this id.
            unsafe { rules::apply(&extension, &declared, &mut info.settings) }?;
        }
        for (name, absent) in [
            ("open", table.open.is_none()),
            ("close", table.close.is_none()),
            ("capabilities", table.capabilities.is_none()),
            ("read or write", table.read.is_none() && table.write.is_none()),
        ] {
            if absent {
                return Err(format!("no function {name}"));
            }
        }
        let times = extension(&table, abi::EXT_TIMES)?;
        info.times = times.is_some();
        let mut library = ImportedLibrary {
            positional: extension(&table, abi::EXT_POSITIONAL)?,
            stat: extension(&table, abi::EXT_STAT)?,
            namespace: extension(&table, abi::EXT_NAMESPACE)?,
            names: extension(&table, abi::EXT_NAMES)?,
            folders: extension(&table, abi::EXT_FOLDERS)?,
            times,
            fd: extension(&table, abi::EXT_FD)?,
            splice: extension(&table, abi::EXT_SPLICE)?,
            poll: extension(&table, abi::EXT_POLL)?,
            table,
            info,
            withheld: Capabilities::empty(),
            complete: Capabilities::from_bits(u64::MAX),
            serial: serial_of(address),
        };
        // A call that waits for its turn would hold a host that must not wait. And a layer of a library that is older than a bit may
        // have passed it on from its inner file.
        if library.info.threads != Threads::PerFile || library.poll.is_none() {
            library.withheld |= Capabilities::POLL;
        }
        if library.times.is_none() {
            library.withheld |= Capabilities::TIMES;
        }
        for (bit, _, present) in library.functions(true, true) {
            if !present {
                library.complete = library.complete.without(bit);
            }
        }
        Ok(library)
    }

    /// The bits that need functions, with their names, and whether those are there for a file that is read or written.
    pub(super) fn functions(&self, reads: bool, writes: bool) -> [(Capabilities, &'static str, bool); 11] {
        let table = &self.table;
        [
            (Capabilities::READABLE, "READABLE", table.read.is_some()),
            (Capabilities::WRITABLE, "WRITABLE", table.write.is_some()),
            (Capabilities::SEEKABLE, "SEEKABLE", table.seek.is_some() && table.tell.is_some()),
            (Capabilities::TRUNCATABLE, "TRUNCATABLE", table.truncate.is_some()),
            (
                Capabilities::POSITIONAL_READ,
                "POSITIONAL_READ",
                self.positional.is_some_and(|table| table.read_at.is_some()),
            ),
            (
                Capabilities::POSITIONAL_WRITE,
                "POSITIONAL_WRITE",
                self.positional.is_some_and(|table| table.write_at.is_some()),
            ),
            (Capabilities::STAT, "STAT", self.stat.is_some_and(|table| table.stat.is_some())),
            (Capabilities::TIMES, "TIMES", self.times.is_some_and(|table| table.set_modified.is_some())),
            (
                Capabilities::SPLICE,
                "SPLICE",
                self.splice.is_some_and(|table| table.send_from.is_some() || table.receive_into.is_some()),
            ),
            (
                Capabilities::FD,
                "FD",
                self.fd.is_some_and(|table| table.lease.is_some() && table.advance.is_some()),
            ),
            (
                Capabilities::POLL,
                "POLL",
                self.poll.is_some_and(|table| {
                    table.interest.is_some()
                        && table.try_finish.is_some()
                        && (table.try_read.is_some() || !reads)
                        && (table.try_write.is_some() || !writes)
                }),
            ),
        ]
    }
}

/// The one lock of a library, however many registries loaded it: they share its code and its globals. A forked child gets
/// another one, since the parent's may have been held by a thread that the child does not have.
fn serial_of(table: usize) -> Arc<ReentrantMutex<()>> {
    type Locks = BTreeMap<usize, Arc<ReentrantMutex<()>>>;
    static LOCKS: PerProcess<Mutex<Locks>> = PerProcess::new();
    LOCKS.get_or_make(Mutex::default).lock().entry(table).or_default().clone()
}

fn extension<T: Growing>(table: &abi::Provider, id: &str) -> Result<Option<T>, String> {
    let Some(function) = table.extension else { return Ok(None) };
    let Ok(c_id) = CString::new(id) else { return Ok(None) };
    // SAFETY: the provider's own function; the id is valid during the call.
    let found = unsafe { function(c_id.as_ptr()) }.cast::<T>();
    if found.is_null() {
        return Ok(None);
    }
    // SAFETY: the header says that an extension's table is the struct of its id and lives as long as the library.
    unsafe { copy_struct(found, id) }.map(Some)
}

/// What a table says of its provider; and the names of all its settings, of those too that this host leaves out.
///
/// # Safety
/// The table's pointers are as the header says.
unsafe fn read_info(table: &abi::Provider) -> Result<(Info, Vec<String>), String> {
    // SAFETY: for all four: the caller's promise.
    let name = unsafe { text(table.name, "name") }?;
    // SAFETY: as above.
    let version = unsafe { optional(table.version, "version") }?.unwrap_or_default();
    // SAFETY: as above.
    let summary = unsafe { optional(table.summary, "summary") }?.unwrap_or_default();
    let mut schemes = Vec::new();
    // SAFETY: as above.
    for scheme in unsafe { list(table.schemes, "schemes") }? {
        // SAFETY: an element of the list.
        schemes.push(unsafe { text(scheme, "a scheme") }?);
    }
    let flags = OpenFlags::from_bits(table.supported_flags);
    let mut info = Info::new(name, version, summary).schemes(schemes).supported_flags(flags).threads(
        match table.threads {
            abi::THREADS_PER_FILE => Threads::PerFile,
            abi::THREADS_PER_INSTANCE => Threads::PerInstance,
            // A promise that this version does not know is no promise.
            _ => Threads::PerLibrary,
        },
    );
    let mut declared = Vec::new();
    if !table.settings.is_null() {
        // SAFETY: as above.
        for setting in unsafe { list(table.settings, "settings") }? {
            // SAFETY: an element of the list.
            let (name, setting) = unsafe { read_setting(setting) }?;
            if declared.contains(&name) {
                return Err(format!("setting `{name}` twice"));
            }
            declared.push(name);
            info.settings.extend(setting);
        }
    }
    check_info(&info)?;
    Ok((info, declared))
}

/// A setting's name, and what it is if this host can parse its values.
///
/// # Safety
/// `setting` points to a zvfs_setting.
unsafe fn read_setting(setting: *const abi::Setting) -> Result<(String, Option<Setting>), String> {
    // SAFETY: the caller's promise.
    let setting = unsafe { copy_struct(setting, "zvfs_setting") }?;
    // SAFETY: the struct's own pointers.
    let name = unsafe { text(setting.name, "a setting's name") }?;
    check_setting_name(&name)?;
    if setting.reserved != 0 {
        return Err(format!("setting `{name}`: zvfs_setting.reserved is not 0"));
    }
    if setting.kind & !abi::TYPE_LIST == 0 {
        return Err(format!("setting `{name}` has no type"));
    }
    // A type of a newer version: this host could not parse a value of it, so it does not offer the setting.
    let Some(kind) = kind_from_abi(setting.kind) else { return Ok((name, None)) };
    let list = setting.kind & abi::TYPE_LIST != 0;
    // SAFETY: the struct's own pointers.
    let help = unsafe { optional(setting.help, "a setting's help") }?.unwrap_or_default();
    let mut ours = Setting::new(name.as_str(), kind, help).scope(Scope::from_bits(setting.scope.into()));
    ours.list = list;
    ours.secret = setting.secret != 0;
    // SAFETY: the struct's own pointers.
    ours.default = unsafe { optional(setting.default_value, "a setting's default") }?;
    Ok((name, Some(ours)))
}
