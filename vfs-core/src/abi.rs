//! The C structs, field by field as in `include/zvfs_provider.h`, which is the authority and has the words.
//!
//! `tests/abi` compares size and offset of every field with the header.

#![allow(missing_docs, reason = "the header documents them; a second text here would drift")]

use std::ffi::{c_char, c_void};
use std::mem;

/// A provider's opaque instance.
pub enum Instance {}
/// A provider's opaque file.
pub enum File {}
/// A host's opaque context.
pub enum Context {}
/// A host's opaque file of another provider.
pub enum Inner {}

/// The entry's name, for the loader; the suffix is the major version.
pub const ENTRY: &str = "zvfs_provider_v1";
/// A struct claiming to be larger than this is refused.
pub const STRUCT_SIZE_MAX: u64 = 64 * 1024;

pub const ERROR_RETRYABLE: u32 = 1;
pub const TYPE_STRING: u32 = 1;
pub const TYPE_BOOLEAN: u32 = 2;
pub const TYPE_INTEGER: u32 = 3;
pub const TYPE_SIZE: u32 = 4;
pub const TYPE_DURATION: u32 = 5;
pub const TYPE_PATH: u32 = 6;
pub const TYPE_LIST: u32 = 0x100;
pub const SIZE_UNKNOWN: u64 = u64::MAX;
pub const TIME_UNKNOWN: i64 = i64::MIN;
pub const TIME_UNLIMITED: u64 = u64::MAX;
pub const OFFSET_STREAM: u64 = u64::MAX;
pub const THREADS_PER_FILE: u32 = 0;
pub const THREADS_PER_INSTANCE: u32 = 1;
pub const THREADS_PER_LIBRARY: u32 = 2;
pub const SEEK_SET: u32 = 0;
pub const SEEK_CUR: u32 = 1;
pub const SEEK_END: u32 = 2;
pub const KIND_UNKNOWN: u32 = 0;
pub const KIND_REGULAR: u32 = 1;
pub const KIND_DIRECTORY: u32 = 2;
pub const KIND_STREAM: u32 = 3;
pub const KIND_DEVICE: u32 = 4;
pub const KIND_TERMINAL: u32 = 5;
pub const EXT_POSITIONAL: &str = "zvfs.positional/1";
pub const EXT_STAT: &str = "zvfs.stat/1";
pub const EXT_NAMESPACE: &str = "zvfs.namespace/1";
pub const EXT_NAMES: &str = "zvfs.names/1";
pub const EXT_FOLDERS: &str = "zvfs.folders/1";
pub const EXT_TIMES: &str = "zvfs.times/1";
pub const EXT_FD: &str = "zvfs.fd/1";
pub const EXT_SPLICE: &str = "zvfs.splice/1";
pub const EXT_POLL: &str = "zvfs.poll/1";
pub const EXT_SETTINGS: &str = "zvfs.settings/1";
pub const RULE_PRIVATE: u64 = 1;
pub const EXT_HOST_OPEN: &str = "zvfs.host.open/1";
pub const EXT_HOST_WAITING: &str = "zvfs.host.waiting/1";
pub const LAYERS_MAX: u32 = 8;

/// Defines a struct of the ABI: `repr(C)`, copyable, and all zeros as its default.
macro_rules! abi_struct {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        pub struct $name {
            pub struct_size: u64,
            $(pub $field: $type,)*
        }

        impl $name {
            /// The size that goes into `struct_size`.
            pub const SIZE: u64 = size_of::<$name>() as u64;

            /// Names of the fields, for the layout test.
            pub const FIELDS: &'static [(&'static str, usize)] =
                &[("struct_size", 0), $((stringify!($field), std::mem::offset_of!($name, $field)),)*];
        }
    };
}

abi_struct! { Error { code: i32, flags: u32, message: [c_char; 1000], } }

abi_struct! {
    Setting {
        name: *const c_char,
        default_value: *const c_char,
        help: *const c_char,
        kind: u32,
        scope: u32,
        secret: u32,
        reserved: u32,
    }
}

abi_struct! { Value { name: *const c_char, text: *const c_char, number: i64, kind: u32, reserved: u32, } }

abi_struct! {
    OpenRequest {
        context: *mut Context,
        scheme: *const c_char,
        rest: *const c_char,
        descriptor: *const c_char,
        shown: *const c_char,
        flags: u64,
        expected_size: u64,
        settings: *const *const Value,
    }
}

/// What a cancel runs.
pub type CancelFn = unsafe extern "C" fn(arg: *mut c_void);

abi_struct! {
    Host {
        name: *const c_char,
        version: *const c_char,
        log: Option<unsafe extern "C" fn(host: *const Host, level: u32, text: *const c_char)>,
        extension: Option<unsafe extern "C" fn(host: *const Host, id: *const c_char) -> *const c_void>,
        status: Option<unsafe extern "C" fn(context: *mut Context) -> i32>,
        time_left: Option<unsafe extern "C" fn(context: *mut Context) -> u64>,
        on_cancel: Option<unsafe extern "C" fn(context: *mut Context, function: Option<CancelFn>, arg: *mut c_void) -> i32>,
        wait: Option<unsafe extern "C" fn(context: *mut Context, fd: i32, events: u32, ns: u64) -> i32>,
    }
}

/// `start`.
pub type StartFn = unsafe extern "C" fn(
    host: *const Host,
    settings: *const *const Value,
    out: *mut *mut Instance,
    err: *mut Error,
) -> i32;
/// `open`.
pub type OpenFn = unsafe extern "C" fn(
    instance: *mut Instance,
    request: *const OpenRequest,
    out: *mut *mut File,
    err: *mut Error,
) -> i32;
/// `read`.
pub type ReadFn = unsafe extern "C" fn(file: *mut File, buf: *mut c_void, n: u64, err: *mut Error) -> i64;
/// `write`.
pub type WriteFn = unsafe extern "C" fn(file: *mut File, buf: *const c_void, n: u64, err: *mut Error) -> i64;

abi_struct! {
    Provider {
        name: *const c_char,
        version: *const c_char,
        summary: *const c_char,
        schemes: *const *const c_char,
        settings: *const *const Setting,
        supported_flags: u64,
        threads: u32,
        reserved: u32,
        start: Option<StartFn>,
        stop: Option<unsafe extern "C" fn(instance: *mut Instance)>,
        open: Option<OpenFn>,
        finish: Option<unsafe extern "C" fn(file: *mut File, how: u32, err: *mut Error) -> i32>,
        close: Option<unsafe extern "C" fn(file: *mut File)>,
        read: Option<ReadFn>,
        write: Option<WriteFn>,
        seek: Option<unsafe extern "C" fn(file: *mut File, offset: i64, whence: u32, err: *mut Error) -> i64>,
        tell: Option<unsafe extern "C" fn(file: *mut File, err: *mut Error) -> i64>,
        truncate: Option<unsafe extern "C" fn(file: *mut File, size: u64, err: *mut Error) -> i32>,
        flush: Option<unsafe extern "C" fn(file: *mut File, level: u32, err: *mut Error) -> i32>,
        capabilities: Option<unsafe extern "C" fn(file: *mut File) -> u64>,
        extension: Option<unsafe extern "C" fn(id: *const c_char) -> *const c_void>,
    }
}

/// `read_at`.
pub type ReadAtFn =
    unsafe extern "C" fn(file: *mut File, buf: *mut c_void, n: u64, offset: u64, err: *mut Error) -> i64;
/// `write_at`.
pub type WriteAtFn =
    unsafe extern "C" fn(file: *mut File, buf: *const c_void, n: u64, offset: u64, err: *mut Error) -> i64;

abi_struct! { Positional { read_at: Option<ReadAtFn>, write_at: Option<WriteAtFn>, } }

abi_struct! { Stat { size: u64, modified_ns: i64, kind: u32, reserved: u32, version: [c_char; 128], } }

abi_struct! {
    StatExtension { stat: Option<unsafe extern "C" fn(file: *mut File, out: *mut Stat, err: *mut Error) -> i32>, }
}

abi_struct! { Entry { name: *const c_char, stat: *const Stat, } }

/// Called for each entry; 0 goes on.
pub type EntryFn = unsafe extern "C" fn(arg: *mut c_void, entry: *const Entry) -> i32;
/// The namespace's `list`.
pub type ListFn = unsafe extern "C" fn(
    instance: *mut Instance,
    request: *const OpenRequest,
    each: Option<EntryFn>,
    arg: *mut c_void,
    err: *mut Error,
) -> i32;
/// The namespace's `stat`.
pub type StatNameFn = unsafe extern "C" fn(
    instance: *mut Instance,
    request: *const OpenRequest,
    out: *mut Stat,
    err: *mut Error,
) -> i32;
/// The namespace's `remove`, and both of the folders' calls.
pub type OnNameFn =
    unsafe extern "C" fn(instance: *mut Instance, request: *const OpenRequest, err: *mut Error) -> i32;

abi_struct! { Namespace { stat: Option<StatNameFn>, list: Option<ListFn>, remove: Option<OnNameFn>, } }

abi_struct! { Name { bytes: *const c_char, length: u64, stat: *const Stat, } }

/// Called for each name; 0 goes on.
pub type NameFn = unsafe extern "C" fn(arg: *mut c_void, name: *const Name) -> i32;
/// The names' `list`.
pub type ListNamesFn = unsafe extern "C" fn(
    instance: *mut Instance,
    request: *const OpenRequest,
    each: Option<NameFn>,
    arg: *mut c_void,
    err: *mut Error,
) -> i32;

abi_struct! { Names { list: Option<ListNamesFn>, } }

abi_struct! { Folders { make: Option<OnNameFn>, remove: Option<OnNameFn>, } }

/// The times' `name_set_modified`.
pub type NameSetModifiedFn = unsafe extern "C" fn(
    instance: *mut Instance,
    request: *const OpenRequest,
    modified_ns: i64,
    err: *mut Error,
) -> i32;

abi_struct! {
    Times {
        set_modified: Option<unsafe extern "C" fn(file: *mut File, modified_ns: i64, err: *mut Error) -> i32>,
        name_set_modified: Option<NameSetModifiedFn>,
    }
}

abi_struct! { Lease { fd: i32, reserved: u32, offset: u64, limit: u64, } }

abi_struct! {
    FdExtension {
        lease: Option<unsafe extern "C" fn(file: *mut File, direction: u64, out: *mut Lease, err: *mut Error) -> i32>,
        advance: Option<unsafe extern "C" fn(file: *mut File, direction: u64, n: u64, err: *mut Error) -> i32>,
    }
}

/// The splice's two functions.
pub type SpliceFn =
    unsafe extern "C" fn(file: *mut File, fd: i32, offset: u64, n: u64, err: *mut Error) -> i64;

abi_struct! { Splice { send_from: Option<SpliceFn>, receive_into: Option<SpliceFn>, } }

abi_struct! { Interest { ns: u64, fd: i32, events: u32, ready: u32, reserved: u32, } }

abi_struct! {
    Poll {
        interest: Option<
            unsafe extern "C" fn(file: *mut File, wanted: u32, out: *mut Interest, err: *mut Error) -> i32,
        >,
        try_read: Option<ReadFn>,
        try_write: Option<WriteFn>,
        try_finish: Option<unsafe extern "C" fn(file: *mut File, how: u32, err: *mut Error) -> i32>,
    }
}

/// The waiting extension's `waits_for`.
pub type WaitsForFn =
    unsafe extern "C" fn(context: *mut Context, object: *const c_char, refusal: *const c_char);

abi_struct! { HostWaiting { waits_for: Option<WaitsForFn>, } }

abi_struct! {
    SettingRule {
        setting: *const c_char,
        minimum: i64,
        maximum: i64,
        values: *const *const c_char,
        flags: u64,
    }
}

abi_struct! { SettingsExtension { rules: *const *const SettingRule, } }

abi_struct! {
    InnerRequest {
        descriptor: *const c_char,
        flags: u64,
        expected_size: u64,
        settings: *const *const Value,
    }
}

/// The host extension's `open`.
pub type InnerOpenFn = unsafe extern "C" fn(
    host: *const Host,
    context: *mut Context,
    request: *const InnerRequest,
    out: *mut *mut Inner,
    err: *mut Error,
) -> i32;
/// The host extension's `supported_flags`.
pub type InnerFlagsFn = unsafe extern "C" fn(
    host: *const Host,
    context: *mut Context,
    descriptor: *const c_char,
    out: *mut u64,
    err: *mut Error,
) -> i32;
/// The host extension's `name_stat`.
pub type InnerNameStatFn = unsafe extern "C" fn(
    host: *const Host,
    context: *mut Context,
    request: *const InnerRequest,
    out: *mut Stat,
    err: *mut Error,
) -> i32;
/// The host extension's `name_list`.
pub type InnerNameListFn = unsafe extern "C" fn(
    host: *const Host,
    context: *mut Context,
    request: *const InnerRequest,
    each: Option<EntryFn>,
    arg: *mut c_void,
    err: *mut Error,
) -> i32;
/// The host extension's `name_remove`, `folder_make` and `folder_remove`.
pub type InnerOnNameFn = unsafe extern "C" fn(
    host: *const Host,
    context: *mut Context,
    request: *const InnerRequest,
    err: *mut Error,
) -> i32;
/// The host extension's `names_list`.
pub type InnerNamesListFn = unsafe extern "C" fn(
    host: *const Host,
    context: *mut Context,
    request: *const InnerRequest,
    each: Option<NameFn>,
    arg: *mut c_void,
    err: *mut Error,
) -> i32;
/// The host extension's `name_set_modified`.
pub type InnerNameSetModifiedFn = unsafe extern "C" fn(
    host: *const Host,
    context: *mut Context,
    request: *const InnerRequest,
    modified_ns: i64,
    err: *mut Error,
) -> i32;

/// Defines the type of a call on an inner file: context, file, what else it takes, error.
macro_rules! inner_fn {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $out:ty) => {
        $(#[$doc])*
        pub type $name =
            unsafe extern "C" fn(context: *mut Context, inner: *mut Inner, $($arg: $type,)* err: *mut Error) -> $out;
    };
}

inner_fn! { /// `read` and `try_read`.
InnerReadFn(buf: *mut c_void, n: u64) -> i64 }
inner_fn! { /// `write` and `try_write`.
InnerWriteFn(buf: *const c_void, n: u64) -> i64 }
inner_fn! { /// `read_at`.
InnerReadAtFn(buf: *mut c_void, n: u64, offset: u64) -> i64 }
inner_fn! { /// `write_at`.
InnerWriteAtFn(buf: *const c_void, n: u64, offset: u64) -> i64 }
inner_fn! { /// `finish`, `try_finish` and `flush`.
InnerNumberFn(number: u32) -> i32 }
inner_fn! { /// `seek`.
InnerSeekFn(offset: i64, whence: u32) -> i64 }
inner_fn! { /// `tell`.
InnerTellFn() -> i64 }
inner_fn! { /// `truncate`.
InnerTruncateFn(size: u64) -> i32 }
inner_fn! { /// `stat`.
InnerStatFn(out: *mut Stat) -> i32 }
inner_fn! { /// `lease`.
InnerLeaseFn(direction: u64, out: *mut Lease) -> i32 }
inner_fn! { /// `advance`.
InnerAdvanceFn(direction: u64, n: u64) -> i32 }
inner_fn! { /// `send_from` and `receive_into`.
InnerSpliceFn(fd: i32, offset: u64, n: u64) -> i64 }
inner_fn! { /// `interest`.
InnerInterestFn(wanted: u32, out: *mut Interest) -> i32 }
inner_fn! { /// `set_modified`.
InnerSetModifiedFn(modified_ns: i64) -> i32 }

abi_struct! {
    HostOpen {
        open: Option<InnerOpenFn>,
        supported_flags: Option<InnerFlagsFn>,
        finish: Option<InnerNumberFn>,
        close: Option<unsafe extern "C" fn(context: *mut Context, inner: *mut Inner)>,
        read: Option<InnerReadFn>,
        write: Option<InnerWriteFn>,
        seek: Option<InnerSeekFn>,
        tell: Option<InnerTellFn>,
        truncate: Option<InnerTruncateFn>,
        flush: Option<InnerNumberFn>,
        capabilities: Option<unsafe extern "C" fn(context: *mut Context, inner: *mut Inner) -> u64>,
        read_at: Option<InnerReadAtFn>,
        write_at: Option<InnerWriteAtFn>,
        stat: Option<InnerStatFn>,
        lease: Option<InnerLeaseFn>,
        advance: Option<InnerAdvanceFn>,
        send_from: Option<InnerSpliceFn>,
        receive_into: Option<InnerSpliceFn>,
        name_stat: Option<InnerNameStatFn>,
        name_list: Option<InnerNameListFn>,
        name_remove: Option<InnerOnNameFn>,
        interest: Option<InnerInterestFn>,
        try_read: Option<InnerReadFn>,
        try_write: Option<InnerWriteFn>,
        try_finish: Option<InnerNumberFn>,
        names_list: Option<InnerNamesListFn>,
        folder_make: Option<InnerOnNameFn>,
        folder_remove: Option<InnerOnNameFn>,
        name_set_modified: Option<InnerNameSetModifiedFn>,
        set_modified: Option<InnerSetModifiedFn>,
    }
}

impl HostOpen {
    /// The size that a host of the first day gives: without names.
    pub const FIRST_SIZE: u64 = mem::offset_of!(HostOpen, name_stat) as u64;
}
