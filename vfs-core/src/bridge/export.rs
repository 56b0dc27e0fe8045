//! Traits to C: what [`export_provider!`](crate::export_provider) puts behind a provider's table.
//!
//! [`extern_c!`] is the only way a function gets into the table; the null check and the panic guard are inside it.
#![expect(unsafe_code, reason = "this module is one half of the C boundary")]

use crate::abi;
use crate::boundary::{Answer, Behind, Callback, Input, Output, Place, Struct, Time, c_string};
use crate::bridge::entries::{pass_entry, pass_name};
use crate::bridge::foreign::{ForeignHost, LiveContext, with_request};
use crate::bridge::held::{HeldFile, file_calls};
use crate::bridge::rules::Rules;
use crate::bridge::translate::kind_to_abi;
use crate::code::Code;
use crate::entry::{Entry, Name};
use crate::error::{Error, Result};
use crate::extern_c;
use crate::provider::{Host, Info, Instance, Namespace, Provider, Request, Threads};
use crate::settings::Settings;
use std::ffi::{CString, c_char, c_void};
use std::os::fd::BorrowedFd;
use std::ptr;
use std::sync::{Arc, OnceLock};

/// Exports a provider: `export_provider!(Http)` for a unit struct, or any expression of a type that implements
/// [`Provider`](crate::Provider). Once in a library; it defines the library's one exported symbol.
#[macro_export]
macro_rules! export_provider {
    ($provider:expr) => {
        $crate::extern_c! { exported by "the provider":
            /// The entry of the provider ABI, version 1.
            pub fn zvfs_provider_v1() -> *const $crate::abi::Provider, plain {
                $crate::export_entry(|| ::std::boxed::Box::new($provider))
            }
        }
    };
}

/// The library's provider with its table. One a library, so one a process image of this code.
static LIBRARY: OnceLock<ExportedProvider> = OnceLock::new();

struct ExportedProvider {
    provider: Box<dyn Provider>,
    table: abi::Provider,
    /// What the table points to. Boxed slices: they are never touched again, so their addresses stay.
    _strings: Vec<CString>,
    _settings: Box<[abi::Setting]>,
    _lists: (Box<[*const c_char]>, Box<[*const abi::Setting]>),
    rules: Rules,
    times: bool,
}

// SAFETY: the raw pointers point into the struct's own heap blocks, which nobody changes after construction.
unsafe impl Send for ExportedProvider {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for ExportedProvider {}

/// The body of the exported entry. Not for direct use: [`export_provider!`](crate::export_provider) calls it.
#[doc(hidden)]
pub fn entry(provider: impl FnOnce() -> Box<dyn Provider>) -> Result<*const abi::Provider> {
    Ok(&raw const LIBRARY.get_or_init(|| ExportedProvider::new(provider())).table)
}

impl ExportedProvider {
    fn new(provider: Box<dyn Provider>) -> ExportedProvider {
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
        ExportedProvider {
            provider,
            table,
            _strings: strings,
            _settings: settings,
            _lists: (schemes, setting_list),
            rules,
            times: info.times,
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

impl Behind for ExportedInstance {
    type C = abi::Instance;
}

impl ExportedInstance {
    /// Works on a name, under a context that ends with the call.
    fn named<T>(
        &self,
        request: &abi::OpenRequest,
        call: impl FnOnce(&dyn Namespace, &Request<'_>) -> Result<T>,
    ) -> Result<T> {
        let none = || Error::new(Code::ENOTSUP, "this provider does not support names");
        let named = |request: &Request<'_>| call(self.instance.namespace().ok_or_else(none)?, request);
        with_request(&self.host, request, named).map(|(_context, result)| result)
    }
}

/// What a file pointer of this library points to. Its context ends when it is closed.
struct ExportedFile {
    file: HeldFile,
    _context: LiveContext,
}

impl Behind for ExportedFile {
    type C = abi::File;
}

extern_c! { by "the provider":
    fn start(host: ForeignHost, settings: Settings, out: Place<'_, *mut abi::Instance>) -> i32 {
        let library = LIBRARY.get().ok_or_else(|| Error::new(Code::EIO, "start before the entry"))?;
        let host = Arc::new(host);
        let instance = library.provider.start(Host::new(host.clone()), settings)?;
        out.put(ExportedInstance { instance, host }.hand_out());
        Ok(())
    }
    fn stop(instance: Box<ExportedInstance>) -> (), plain {
        drop(instance);
        Ok(())
    }
    // One descriptor that makes a provider panic must not end the service for all others: an instance is not poisoned. What
    // `&self` shares between calls has its own locks, which std poisons where it must.
    fn open(instance: &ExportedInstance, request: Struct<abi::OpenRequest>, out: Place<'_, *mut abi::File>) -> i32 {
        let open = |request: &Request<'_>| {
            request.flags().check()?;
            instance.instance.open(request).map(HeldFile::new)
        };
        let (context, file) = with_request(&instance.host, &request.0, open)?;
        out.put(ExportedFile { file, _context: context }.hand_out());
        Ok(())
    }
    fn close(file: Box<ExportedFile>) -> (), plain {
        drop(file);
        Ok(())
    }
    fn capabilities(file: &ExportedFile) -> u64, plain {
        Ok(file.file.capabilities().bits())
    }
    fn name_stat(
        instance: &ExportedInstance, request: Struct<abi::OpenRequest>, out: Answer<'_, abi::Stat>
    ) -> i32 {
        let stat = instance.named(&request.0, |names, request| names.stat(request))?;
        out.put(abi::Stat::from(&stat));
        Ok(())
    }
    fn name_list(
        instance: &ExportedInstance, request: Struct<abi::OpenRequest>, each: Callback<abi::EntryFn>, arg: *mut c_void
    ) -> i32 {
        // SAFETY: the host's own function with its own argument, during the call that they came with.
        let mut call = |entry: Entry<'_>| unsafe { pass_entry(entry, each.0, arg) };
        instance.named(&request.0, |names, request| names.list(request, &mut call))
    }
    fn name_names(
        instance: &ExportedInstance, request: Struct<abi::OpenRequest>, each: Callback<abi::NameFn>, arg: *mut c_void
    ) -> i32 {
        // SAFETY: as in name_list.
        let mut call = |name: Name<'_>| unsafe { pass_name(name, each.0, arg) };
        instance.named(&request.0, |names, request| names.names(request, &mut call))
    }
    fn name_remove(instance: &ExportedInstance, request: Struct<abi::OpenRequest>) -> i32 {
        instance.named(&request.0, |names, request| names.remove(request))
    }
    fn folder_make(instance: &ExportedInstance, request: Struct<abi::OpenRequest>) -> i32 {
        instance.named(&request.0, |names, request| names.make_folder(request))
    }
    fn folder_remove(instance: &ExportedInstance, request: Struct<abi::OpenRequest>) -> i32 {
        instance.named(&request.0, |names, request| names.remove_folder(request))
    }
    fn name_set_modified(instance: &ExportedInstance, request: Struct<abi::OpenRequest>, time: Time) -> i32 {
        instance.named(&request.0, |names, request| names.set_modified(request, time.0))
    }
    fn extension(id: &str) -> *const c_void, plain {
        Ok(match id {
            abi::EXT_POSITIONAL => (&raw const POSITIONAL).cast(),
            abi::EXT_STAT => (&raw const STAT).cast(),
            abi::EXT_NAMESPACE => (&raw const NAMESPACE).cast(),
            abi::EXT_NAMES => (&raw const NAMES).cast(),
            abi::EXT_FOLDERS => (&raw const FOLDERS).cast(),
            abi::EXT_TIMES => match LIBRARY.get() {
                Some(library) if library.times => (&raw const TIMES).cast(),
                _ => ptr::null(),
            },
            abi::EXT_FD => (&raw const FD).cast(),
            abi::EXT_SPLICE => (&raw const SPLICE).cast(),
            abi::EXT_POLL => (&raw const POLL).cast(),
            abi::EXT_SETTINGS => LIBRARY.get().map_or(ptr::null(), |library| library.rules.table()),
            _ => ptr::null(),
        })
    }
}

macro_rules! exported_file {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        extern_c! { by "the provider":
            $(fn $name(file: &ExportedFile, $($arg: $type),*) -> $out {
                file.file.$name($($arg),*)
            })*
        }
    };
}
file_calls!(exported_file);

static POSITIONAL: abi::Positional =
    abi::Positional { struct_size: abi::Positional::SIZE, read_at: Some(read_at), write_at: Some(write_at) };
static STAT: abi::StatExtension =
    abi::StatExtension { struct_size: abi::StatExtension::SIZE, stat: Some(stat) };
static NAMESPACE: abi::Namespace = abi::Namespace {
    struct_size: abi::Namespace::SIZE,
    stat: Some(name_stat),
    list: Some(name_list),
    remove: Some(name_remove),
};
static NAMES: abi::Names = abi::Names { struct_size: abi::Names::SIZE, list: Some(name_names) };
static FOLDERS: abi::Folders =
    abi::Folders { struct_size: abi::Folders::SIZE, make: Some(folder_make), remove: Some(folder_remove) };
static TIMES: abi::Times = abi::Times {
    struct_size: abi::Times::SIZE,
    set_modified: Some(set_modified),
    name_set_modified: Some(name_set_modified),
};
static FD: abi::FdExtension =
    abi::FdExtension { struct_size: abi::FdExtension::SIZE, lease: Some(lease), advance: Some(advance) };
static SPLICE: abi::Splice = abi::Splice {
    struct_size: abi::Splice::SIZE,
    send_from: Some(send_from),
    receive_into: Some(receive_into),
};
static POLL: abi::Poll = abi::Poll {
    struct_size: abi::Poll::SIZE,
    interest: Some(interest),
    try_read: Some(try_read),
    try_write: Some(try_write),
    try_finish: Some(try_finish),
};
