//! All that a guest can import, with each function's type.

use super::call::enter;
use super::engine::engine;
use super::state::State;
use super::{wasi_fd, wasi_io, wasi_names, wasi_path, wasi_poll, wasi_process};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::OnceLock;
use vfs_core::Result;
use wasmparser::{FuncType, ValType};
use wasmtime::{Caller, Engine, InstancePre, Linker, Module};

/// The module that a guest imports its functions from.
pub(crate) const PREVIEW1: &str = "wasi_snapshot_preview1";

/// What the programs of an engine are linked with: the functions that some of them has imported. To define all of them is a good part of
/// a small program's start.
pub(super) struct Imports {
    linker: Linker<State>,
    defined: BTreeSet<&'static str>,
}

impl Imports {
    /// None yet.
    pub(super) fn new(engine: &Engine) -> Imports {
        Imports { linker: Linker::new(engine), defined: BTreeSet::new() }
    }

    /// Those of the process's engine: the functions hold nothing of a session.
    ///
    /// # Errors
    /// As [`engine`].
    pub(super) fn of_process() -> Result<&'static Mutex<Imports>> {
        static IMPORTS: OnceLock<Mutex<Imports>> = OnceLock::new();
        let engine = engine()?;
        Ok(IMPORTS.get_or_init(|| Mutex::new(Imports::new(engine))))
    }

    /// Links a program of the engine.
    ///
    /// # Errors
    /// An import is unknown, or has another type.
    pub(super) fn link(&mut self, module: &Module) -> wasmtime::Result<InstancePre<State>> {
        let Imports { linker, defined } = self;
        let mut missing = BTreeSet::new();
        missing.extend(module.imports().map(|import| import.name()).filter(|name| !defined.contains(name)));
        if !missing.is_empty() {
            define(linker, &mut |name| missing.contains(name) && defined.insert(name))?;
        }
        linker.instantiate_pre(module)
    }
}

/// All functions with a result, `module::name(parameters)`, handed to the macro `$do` after its own arguments.
macro_rules! functions {
    ($do:ident! $($given:tt)*) => {
        $do! { $($given)*;
            wasi_process::args_get(pointers: u32, texts: u32);
            wasi_process::args_sizes_get(count: u32, size: u32);
            wasi_process::environ_get(pointers: u32, texts: u32);
            wasi_process::environ_sizes_get(count: u32, size: u32);
            wasi_process::random_get(buffer: u32, length: u32);
            wasi_process::proc_raise(signal: u32);

            wasi_poll::clock_res_get(id: u32, result: u32);
            wasi_poll::clock_time_get(id: u32, precision: u64, result: u32);
            wasi_poll::poll_oneoff(input: u32, output: u32, count: u32, result: u32);
            wasi_poll::sched_yield();

            wasi_io::fd_read(fd: u32, iovecs: u32, count: u32, result: u32);
            wasi_io::fd_pread(fd: u32, iovecs: u32, count: u32, offset: u64, result: u32);
            wasi_io::fd_write(fd: u32, iovecs: u32, count: u32, result: u32);
            wasi_io::fd_pwrite(fd: u32, iovecs: u32, count: u32, offset: u64, result: u32);

            wasi_fd::fd_advise(fd: u32, offset: u64, length: u64, advice: u32);
            wasi_fd::fd_allocate(fd: u32, offset: u64, length: u64);
            wasi_fd::fd_close(fd: u32);
            wasi_fd::fd_datasync(fd: u32);
            wasi_fd::fd_fdstat_get(fd: u32, result: u32);
            wasi_fd::fd_fdstat_set_flags(fd: u32, flags: u32);
            wasi_fd::fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64);
            wasi_fd::fd_filestat_get(fd: u32, result: u32);
            wasi_fd::fd_filestat_set_size(fd: u32, size: u64);
            wasi_fd::fd_filestat_set_times(fd: u32, accessed: u64, modified: u64, which: u32);
            wasi_fd::fd_prestat_get(fd: u32, result: u32);
            wasi_fd::fd_prestat_dir_name(fd: u32, path: u32, length: u32);
            wasi_fd::fd_readdir(fd: u32, buffer: u32, length: u32, cookie: u64, result: u32);
            wasi_fd::fd_renumber(from: u32, to: u32);
            wasi_fd::fd_seek(fd: u32, offset: i64, whence: u32, result: u32);
            wasi_fd::fd_sync(fd: u32);
            wasi_fd::fd_tell(fd: u32, result: u32);

            wasi_names::path_create_directory(fd: u32, path: u32, length: u32);
            wasi_path::path_filestat_get(fd: u32, lookup: u32, path: u32, length: u32, result: u32);
            wasi_path::path_filestat_set_times(
                fd: u32, lookup: u32, path: u32, length: u32, accessed: u64, modified: u64, which: u32
            );
            wasi_names::path_link(
                old_fd: u32, lookup: u32, old: u32, old_length: u32, new_fd: u32, new: u32, new_length: u32
            );
            wasi_path::path_open(
                fd: u32, lookup: u32, path: u32, length: u32, oflags: u32, rights: u64, inheriting: u64, flags: u32,
                result: u32
            );
            wasi_path::path_readlink(fd: u32, path: u32, length: u32, buffer: u32, room: u32, result: u32);
            wasi_names::path_remove_directory(fd: u32, path: u32, length: u32);
            wasi_names::path_rename(
                old_fd: u32, old: u32, old_length: u32, new_fd: u32, new: u32, new_length: u32
            );
            wasi_names::path_symlink(old: u32, old_length: u32, fd: u32, new: u32, new_length: u32);
            wasi_names::path_unlink_file(fd: u32, path: u32, length: u32);

            wasi_process::sock_accept(fd: u32, flags: u32, result: u32);
            wasi_process::sock_recv(fd: u32, iovecs: u32, count: u32, flags: u32, result: u32, result_flags: u32);
            wasi_process::sock_send(fd: u32, iovecs: u32, count: u32, flags: u32, result: u32);
            wasi_process::sock_shutdown(fd: u32, how: u32);
        }
    };
}
#[cfg(any(test, feature = "fuzz"))]
pub(super) use functions;

/// Defines the functions that are wanted under their own names, each through [`enter`].
macro_rules! define {
    ($linker:ident $is_wanted:ident; $($module:ident :: $name:ident($($parameter:ident: $type:ty),* $(,)?);)*) => {
        $(if $is_wanted(stringify!($name)) {
            $linker.func_wrap(PREVIEW1, stringify!($name), |caller: Caller<'_, State>, $($parameter: $type),*| {
                enter(caller, |call| $module::$name(call, $($parameter),*))
            })?;
        })*
    };
}

/// What a parameter of the functions is to a guest.
trait Parameter {
    const TYPE: ValType;
}

impl Parameter for u32 {
    const TYPE: ValType = ValType::I32;
}

impl Parameter for u64 {
    const TYPE: ValType = ValType::I64;
}

impl Parameter for i64 {
    const TYPE: ValType = ValType::I64;
}

/// Finds the type of one of the functions.
macro_rules! signature {
    ($wanted:ident; $($module:ident :: $name:ident($($parameter:ident: $type:ty),* $(,)?);)*) => {
        match $wanted {
            $(stringify!($name) => {
                let parameters: Vec<ValType> = vec![$(<$type as Parameter>::TYPE),*];
                Some(FuncType::new(parameters, [ValType::I32]))
            })*
            "proc_exit" => Some(FuncType::new([ValType::I32], [])),
            _ => None,
        }
    };
}

/// The type of a function by its name; `None`: there is no such function.
pub(crate) fn signature(name: &str) -> Option<FuncType> {
    functions!(signature! name)
}

fn define(
    linker: &mut Linker<State>,
    is_wanted: &mut dyn FnMut(&'static str) -> bool,
) -> wasmtime::Result<()> {
    functions!(define! linker is_wanted);
    // The only one without a result.
    if is_wanted("proc_exit") {
        linker.func_wrap(PREVIEW1, "proc_exit", |caller: Caller<'_, State>, code: u32| {
            enter(caller, |call| wasi_process::proc_exit(call, code)).map(drop)
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is looked at before a program is compiled must be what it is linked with.
    #[test]
    fn each_function_has_the_signature_that_it_is_linked_with() {
        let state = crate::guest::fuzz::state();
        let mut store = wasmtime::Store::new(engine().unwrap(), state);
        let mut linker = Linker::new(engine().unwrap());
        define(&mut linker, &mut |_| true).unwrap();
        let linked: Vec<_> = linker.iter(&mut store).map(|(_, name, it)| (name.to_owned(), it)).collect();
        assert_eq!(linked.len(), 46);
        for (name, function) in linked {
            let (linked, told) = (function.ty(&store), signature(&name).unwrap());
            let linked = linked.unwrap_func();
            let text = |types: &mut dyn Iterator<Item = String>| types.collect::<Vec<_>>().join(" ");
            assert_eq!(
                text(&mut told.params().iter().map(ToString::to_string)),
                text(&mut linked.params().map(|ty| ty.to_string())),
                "{name}"
            );
            assert_eq!(
                text(&mut told.results().iter().map(ToString::to_string)),
                text(&mut linked.results().map(|ty| ty.to_string())),
                "{name}"
            );
        }
        assert!(signature("fd_reed").is_none());
    }
}
