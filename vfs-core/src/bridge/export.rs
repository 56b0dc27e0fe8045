//! Traits to C: what [`export_provider!`](crate::export_provider) puts behind a provider's table.
//!
//! [`exported!`] is the only way a function gets into the table; the null check and the panic guard are inside it.
#![expect(unsafe_code, reason = "this module is one half of the C boundary")]

use crate::abi;
use crate::bridge::entries::{pass_entry, pass_name};
use crate::bridge::foreign::{ForeignContext, ForeignHost, for_a_name, settings_from_abi, with_request};
use crate::bridge::guard::{bytes, bytes_mut, fail, guarded, hand_out, lent, position, seek_from};
use crate::bridge::rules::Rules;
use crate::bridge::strings::c_string;
use crate::bridge::translate::{
    direction_from_abi, finish_from_abi, flush_from_abi, kind_to_abi, stat_to_abi,
};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::file::{COUNT_MAX, File};
use crate::flags::Capabilities;
use crate::host::Host;
use crate::provider::{Entry, Info, Instance, Name, Provider, Threads};
use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_char, c_void};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// Exports a provider: `export_provider!(Http)` for a unit struct, or any expression of a type that implements
/// [`Provider`](crate::Provider). Once in a library; it defines the library's one exported symbol.
#[macro_export]
macro_rules! export_provider {
    ($provider:expr) => {
        /// The entry of the provider ABI, version 1.
        #[allow(
            unsafe_code,
            reason = "an exported symbol's name must be unique in its library, and this is its only one"
        )]
        #[unsafe(no_mangle)]
        pub extern "C" fn zvfs_provider_v1() -> *const $crate::abi::Provider {
            $crate::export_entry(|| ::std::boxed::Box::new($provider))
        }
    };
}

/// The library's provider with its table. One a library, so one a process image of this code.
static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();

struct Library {
    provider: Box<dyn Provider>,
    table: abi::Provider,
    /// What the table points to. Boxed slices: they are never touched again, so their addresses stay.
    _strings: Vec<CString>,
    _settings: Box<[abi::Setting]>,
    _lists: (Box<[*const c_char]>, Box<[*const abi::Setting]>),
    rules: Rules,
}

// SAFETY: the raw pointers point into the struct's own heap blocks, which nobody changes after construction.
unsafe impl Send for Library {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Library {}

/// The body of the exported entry. Not for direct use: [`export_provider!`](crate::export_provider) calls it.
#[doc(hidden)]
pub fn entry(provider: impl FnOnce() -> Box<dyn Provider>) -> *const abi::Provider {
    let library = LIBRARY.get_or_init(|| catch_unwind(AssertUnwindSafe(|| Library::new(provider()))).ok());
    library.as_ref().map_or(ptr::null(), |library| &raw const library.table)
}

impl Library {
    fn new(provider: Box<dyn Provider>) -> Library {
        let info = provider.info();
        let mut strings = Vec::new();
        // A CString's bytes are on the heap: moving it into the list leaves them where they are.
        let mut keep = |text: &str| {
            let text = c_string(text);
            let pointer = text.as_ptr();
            strings.push(text);
            pointer
        };
        let settings: Box<[abi::Setting]> = info
            .settings
            .iter()
            .map(|setting| abi::Setting {
                struct_size: abi::Setting::SIZE,
                name: keep(&setting.name),
                default_value: setting.default.as_deref().map_or(ptr::null(), &mut keep),
                help: keep(&setting.help),
                kind: kind_to_abi(setting.kind) | if setting.list { abi::TYPE_LIST } else { 0 },
                scope: setting.scope.bits() as u32,
                secret: setting.secret.into(),
                reserved: 0,
            })
            .collect();
        let setting_list: Box<[_]> = settings.iter().map(ptr::from_ref).chain([ptr::null()]).collect();
        let schemes: Box<[_]> = info.schemes.iter().map(|scheme| keep(scheme)).chain([ptr::null()]).collect();
        let table = abi::Provider {
            name: keep(&info.name),
            version: keep(&info.version),
            summary: keep(&info.summary),
            schemes: schemes.as_ptr(),
            settings: setting_list.as_ptr(),
            ..functions(&info)
        };
        let rules = Rules::new(&info.settings);
        Library {
            provider,
            table,
            _strings: strings,
            _settings: settings,
            _lists: (schemes, setting_list),
            rules,
        }
    }
}

fn functions(info: &Info) -> abi::Provider {
    abi::Provider {
        struct_size: abi::Provider::SIZE,
        name: ptr::null(),
        version: ptr::null(),
        summary: ptr::null(),
        schemes: ptr::null(),
        settings: ptr::null(),
        supported_flags: info.supported_flags.bits(),
        threads: match info.threads {
            Threads::PerFile => abi::THREADS_PER_FILE,
            Threads::PerInstance => abi::THREADS_PER_INSTANCE,
            Threads::PerLibrary => abi::THREADS_PER_LIBRARY,
        },
        reserved: 0,
        start: Some(start),
        stop: Some(stop),
        open: Some(open),
        finish: Some(finish),
        close: Some(close),
        read: Some(read),
        write: Some(write),
        seek: Some(seek),
        tell: Some(tell),
        truncate: Some(truncate),
        flush: Some(flush),
        capabilities: Some(capabilities),
        extension: Some(extension),
    }
}

/// What an instance pointer of this library points to.
struct ExportedInstance {
    instance: Box<dyn Instance>,
    host: Arc<ForeignHost>,
}

/// What a file pointer of this library points to.
struct ExportedFile {
    /// Exclusive for every call but the positional ones: the ABI's [file] rule.
    file: UnsafeCell<Box<dyn File>>,
    context: Arc<ForeignContext>,
    /// Asked when it was opened, where a panic still has an error to go to.
    capabilities: Capabilities,
    poisoned: AtomicBool,
}

/// What a call runs on, and what a panic does to it.
trait Target {
    fn poisoned(&self) -> Option<&AtomicBool>;
}

impl Target for ExportedFile {
    fn poisoned(&self) -> Option<&AtomicBool> {
        Some(&self.poisoned)
    }
}

impl Target for ExportedInstance {
    /// One descriptor that makes a provider panic must not end the service for all others. What `&self` shares between
    /// calls has its own locks, which std poisons where it must.
    fn poisoned(&self) -> Option<&AtomicBool> {
        None
    }
}

/// Defines functions of the table that work on a file or an instance.
macro_rules! exported {
    ($(fn $name:ident($this:ident: &$type:ty as $opaque:ty $(, $arg:ident: $arg_type:ty)*) -> $out:ty $body:block)*) => {$(
        unsafe extern "C" fn $name(this: *mut $opaque $(, $arg: $arg_type)*, err: *mut abi::Error) -> $out {
            // SAFETY: not NULL means that this library made it, as a box of this type, and that it is not freed yet: the
            // ABI's life of a file or instance.
            let Some($this) = (unsafe { this.cast::<$type>().as_ref() }) else {
                return fail(err, &Error::new(Code::EINVAL, concat!(stringify!($name), ": NULL"))) as $out;
            };
            guarded(err, $this.poisoned(), || $body) as $out
        }
    )*};
}

impl ExportedFile {
    /// The file, for a call that nothing else overlaps.
    #[expect(clippy::mut_from_ref, reason = "exclusive by the ABI's thread rule, which no type can say")]
    fn exclusive(&self) -> &mut dyn File {
        // SAFETY: the header's [file] tag: one call at a time, and positional ones do not overlap others.
        unsafe { &mut **self.file.get() }
    }

    /// The file, for a call that positional ones may overlap.
    fn shared(&self) -> &dyn File {
        // SAFETY: the header's [shared] tag: only other shared calls overlap this one.
        unsafe { &**self.file.get() }
    }
}

exported! {
    fn read(this: &ExportedFile as abi::File, buf: *mut c_void, n: u64) -> i64 {
        // SAFETY: read's contract: buf[0..n] is writable for the call and nobody else uses it.
        let buf = unsafe { bytes_mut(buf, n) }?;
        this.exclusive().read(buf).map(|count| count as i64)
    }
    fn write(this: &ExportedFile as abi::File, buf: *const c_void, n: u64) -> i64 {
        // SAFETY: write's contract: buf[0..n] is readable for the call and nobody changes it.
        let buf = unsafe { bytes(buf, n) }?;
        this.exclusive().write(buf).map(|count| count as i64)
    }
    fn read_at(this: &ExportedFile as abi::File, buf: *mut c_void, n: u64, offset: u64) -> i64 {
        // SAFETY: as for read.
        let buf = unsafe { bytes_mut(buf, n) }?;
        this.shared().read_at(buf, offset).map(|count| count as i64)
    }
    fn write_at(this: &ExportedFile as abi::File, buf: *const c_void, n: u64, offset: u64) -> i64 {
        // SAFETY: as for write.
        let buf = unsafe { bytes(buf, n) }?;
        this.shared().write_at(buf, offset).map(|count| count as i64)
    }
    fn seek(this: &ExportedFile as abi::File, offset: i64, whence: u32) -> i64 {
        position(this.exclusive().seek(seek_from(offset, whence)?)?)
    }
    fn tell(this: &ExportedFile as abi::File) -> i64 {
        position(this.exclusive().tell()?)
    }
    fn truncate(this: &ExportedFile as abi::File, size: u64) -> i32 {
        this.exclusive().truncate(size).map(|()| 0)
    }
    fn flush(this: &ExportedFile as abi::File, level: u32) -> i32 {
        this.exclusive().flush(flush_from_abi(level)?).map(|()| 0)
    }
    fn finish(this: &ExportedFile as abi::File, how: u32) -> i32 {
        this.exclusive().finish(finish_from_abi(how)?).map(|()| 0)
    }
    fn file_stat(this: &ExportedFile as abi::File, out: *mut abi::Stat) -> i32 {
        let stat = this.exclusive().stat()?;
        // SAFETY: the host gives a zvfs_stat of its own, valid for the call.
        let out = unsafe { out.as_mut() }.ok_or_else(|| Error::new(Code::EINVAL, "stat: out is NULL"))?;
        stat_to_abi(&stat, out);
        Ok(0)
    }
    fn lease(this: &ExportedFile as abi::File, direction: u64, out: *mut abi::Lease) -> i32 {
        let lease = this.exclusive().lease(direction_from_abi(direction)?)?;
        // SAFETY: the host gives a zvfs_lease of its own, valid for the call.
        let out = unsafe { out.as_mut() }.ok_or_else(|| Error::new(Code::EINVAL, "lease: out is NULL"))?;
        out.fd = lease.fd.as_raw_fd();
        out.offset = lease.offset.unwrap_or(abi::OFFSET_STREAM);
        out.limit = lease.limit;
        Ok(0)
    }
    fn advance(this: &ExportedFile as abi::File, direction: u64, n: u64) -> i32 {
        this.exclusive().advance(direction_from_abi(direction)?, n).map(|()| 0)
    }
    fn send_from(this: &ExportedFile as abi::File, fd: i32, offset: u64, n: u64) -> i64 {
        // SAFETY: the header: the host's descriptor, open for the call.
        let fd = unsafe { lent(fd) }?;
        this.exclusive().send_from(fd, offset, n.min(COUNT_MAX as u64) as usize).map(|count| count as i64)
    }
    fn receive_into(this: &ExportedFile as abi::File, fd: i32, offset: u64, n: u64) -> i64 {
        // SAFETY: the header: the host's descriptor, open for the call.
        let fd = unsafe { lent(fd) }?;
        this.exclusive().receive_into(fd, offset, n.min(COUNT_MAX as u64) as usize).map(|count| count as i64)
    }
    fn open(this: &ExportedInstance as abi::Instance, request: *const abi::OpenRequest, out: *mut *mut abi::File) -> i32 {
        let (context, (file, capabilities)) = with_request(&this.host, request, |request| {
            let file = this.instance.open(request)?;
            let capabilities = file.capabilities();
            Ok((file, capabilities))
        })?;
        let file =
            ExportedFile { file: UnsafeCell::new(file), context, capabilities, poisoned: AtomicBool::new(false) };
        // SAFETY: the host gives a place of its own for the pointer, valid for the call.
        unsafe { hand_out(out, file) }
    }
    fn name_stat(this: &ExportedInstance as abi::Instance, request: *const abi::OpenRequest, out: *mut abi::Stat) -> i32 {
        let stat = for_a_name(&this.host, request, |request| namespace(&*this.instance)?.stat(request))?;
        // SAFETY: the host gives a zvfs_stat of its own, valid for the call.
        let out = unsafe { out.as_mut() }.ok_or_else(|| Error::new(Code::EINVAL, "stat: out is NULL"))?;
        stat_to_abi(&stat, out);
        Ok(0)
    }
    fn name_list(
        this: &ExportedInstance as abi::Instance, request: *const abi::OpenRequest, each: Option<abi::EntryFn>, arg: *mut c_void
    ) -> i32 {
        let each = each.ok_or_else(|| Error::new(Code::EINVAL, "list: no function to call"))?;
        // SAFETY: the host's own function with its own argument, during the call that they came with.
        let mut call = |entry: Entry<'_>| unsafe { pass_entry(entry, each, arg) };
        for_a_name(&this.host, request, |request| namespace(&*this.instance)?.list(request, &mut call)).map(|()| 0)
    }
    fn name_names(
        this: &ExportedInstance as abi::Instance, request: *const abi::OpenRequest, each: Option<abi::NameFn>, arg: *mut c_void
    ) -> i32 {
        let each = each.ok_or_else(|| Error::new(Code::EINVAL, "list: no function to call"))?;
        // SAFETY: as in name_list.
        let mut call = |name: Name<'_>| unsafe { pass_name(name, each, arg) };
        for_a_name(&this.host, request, |request| namespace(&*this.instance)?.names(request, &mut call)).map(|()| 0)
    }
    fn name_remove(this: &ExportedInstance as abi::Instance, request: *const abi::OpenRequest) -> i32 {
        for_a_name(&this.host, request, |request| namespace(&*this.instance)?.remove(request)).map(|()| 0)
    }
}

unsafe extern "C" fn start(
    host: *const abi::Host,
    settings: *const *const abi::Value,
    out: *mut *mut abi::Instance,
    err: *mut abi::Error,
) -> i32 {
    guarded(err, None, || {
        let library = LIBRARY.get().and_then(Option::as_ref);
        let library = library.ok_or_else(|| Error::new(Code::EIO, "start before the entry"))?;
        // SAFETY: start's contract: host is a host's table that stays until stop has returned.
        let host = Arc::new(unsafe { ForeignHost::new(host) }?);
        // SAFETY: start's contract: a NULL-terminated list, valid during the call.
        let settings = unsafe { settings_from_abi(settings) }?;
        let instance = library.provider.start(Host::new(host.clone()), settings)?;
        let instance = ExportedInstance { instance, host };
        // SAFETY: the host gives a place of its own for the pointer, valid for the call.
        unsafe { hand_out(out, instance) }
    }) as i32
}

unsafe extern "C" fn stop(instance: *mut abi::Instance) {
    if !instance.is_null() {
        // SAFETY: this library made it in start, and stop is called once.
        let instance = unsafe { Box::from_raw(instance.cast::<ExportedInstance>()) };
        drop(catch_unwind(AssertUnwindSafe(|| drop(instance))));
    }
}

unsafe extern "C" fn close(file: *mut abi::File) {
    if !file.is_null() {
        // SAFETY: this library made it in open, and close is called once, when nothing else runs on the file.
        let exported = unsafe { Box::from_raw(file.cast::<ExportedFile>()) };
        let ExportedFile { file, context, .. } = *exported;
        drop(catch_unwind(AssertUnwindSafe(|| drop(file))));
        context.end();
    }
}

unsafe extern "C" fn capabilities(file: *mut abi::File) -> u64 {
    // SAFETY: as in exported!: not NULL means made by open and not closed.
    unsafe { file.cast::<ExportedFile>().as_ref() }.map_or(0, |file| file.capabilities.bits())
}

static POSITIONAL: abi::Positional =
    abi::Positional { struct_size: abi::Positional::SIZE, read_at: Some(read_at), write_at: Some(write_at) };
static STAT: abi::StatExtension =
    abi::StatExtension { struct_size: abi::StatExtension::SIZE, stat: Some(file_stat) };
static NAMESPACE: abi::Namespace = abi::Namespace {
    struct_size: abi::Namespace::SIZE,
    stat: Some(name_stat),
    list: Some(name_list),
    remove: Some(name_remove),
};
static NAMES: abi::Names = abi::Names { struct_size: abi::Names::SIZE, list: Some(name_names) };
static FD: abi::FdExtension =
    abi::FdExtension { struct_size: abi::FdExtension::SIZE, lease: Some(lease), advance: Some(advance) };

static SPLICE: abi::Splice = abi::Splice {
    struct_size: abi::Splice::SIZE,
    send_from: Some(send_from),
    receive_into: Some(receive_into),
};

unsafe extern "C" fn extension(id: *const c_char) -> *const c_void {
    if id.is_null() {
        return ptr::null();
    }
    // SAFETY: the ABI's strings are terminated and valid during the call.
    match unsafe { CStr::from_ptr(id) }.to_str() {
        Ok(abi::EXT_POSITIONAL) => (&raw const POSITIONAL).cast(),
        Ok(abi::EXT_STAT) => (&raw const STAT).cast(),
        Ok(abi::EXT_NAMESPACE) => (&raw const NAMESPACE).cast(),
        Ok(abi::EXT_NAMES) => (&raw const NAMES).cast(),
        Ok(abi::EXT_FD) => (&raw const FD).cast(),
        Ok(abi::EXT_SPLICE) => (&raw const SPLICE).cast(),
        Ok(abi::EXT_SETTINGS) => {
            LIBRARY.get().and_then(Option::as_ref).map_or(ptr::null(), |library| library.rules.table())
        }
        _ => ptr::null(),
    }
}

fn namespace(instance: &dyn Instance) -> Result<&dyn crate::provider::Namespace> {
    instance.namespace().ok_or_else(|| Error::new(Code::ENOTSUP, "this provider has no names to ask about"))
}
