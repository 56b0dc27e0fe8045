//! `zvfs.h`: registry.

use crate::argument::{Object, Pairs};
use crate::configuration::{ConfigurationSlot, find};
use crate::handle::{HandleSlot, hand_out};
use crate::pool::{Kind, Pool, Shared, Slot};
use crate::structs::{self, LogFn, RegistryOptions};
use std::ffi::{CString, c_void};
use std::sync::Arc;
use vfs_core::boundary::{Answer, Argument, Callback, Options, Place, Time, null, text};
use vfs_core::{
    Code, Configuration, Control, Descriptor, Error, Host, HostCalls, Jobs, Level, OpenFlags, OpenOptions,
    PolledFile, Registry, Result, abi, built_in, extern_c, log_to_stderr, pass_entry, pass_name,
};

pub type RegistrySlot = Slot<Hosted>;

static REGISTRIES: Pool<Hosted> = Pool::new();

/// How many calls may wait at once on threads, unless the program says otherwise; and what it may say.
const POLL_THREADS: usize = 64;
const POLL_THREADS_MAX: u32 = 4096;

/// A registry, and the threads for its handles that are tried and have no POLL.
#[derive(Clone)]
pub struct Hosted {
    registry: Registry,
    jobs: Jobs,
}

impl Kind for Hosted {
    const NAME: &'static str = "registry";
}

/// A registry, in use for no longer than it takes to clone it: so it can be freed at any time.
struct Registered(Hosted);

impl Argument for Registered {
    type C = *const RegistrySlot;

    unsafe fn check(value: *const RegistrySlot, name: &'static str) -> Result<Registered> {
        // SAFETY: the caller's promise is the same.
        let shared = unsafe { <Shared<Hosted>>::check(value, name) }?;
        Ok(Registered(shared.clone()))
    }
}

/// A provider's table, checked by whoever takes it.
struct Table(*const abi::Provider);

impl Argument for Table {
    type C = *const abi::Provider;

    unsafe fn check(value: *const abi::Provider, name: &'static str) -> Result<Table> {
        if value.is_null() { Err(null(name)) } else { Ok(Table(value)) }
    }
}

/// What may be offered, as the header has it.
const OFFERS: [&str; 5] = ["node", "job", "broker", "writers", "digest"];

/// How to open, as C says it.
struct How(OpenOptions);

impl Argument for How {
    type C = *const structs::OpenOptions;

    unsafe fn check(value: *const structs::OpenOptions, name: &'static str) -> Result<How> {
        // SAFETY: the caller's promise is the same.
        let Some(Options(options)) = unsafe { <Option<Options<structs::OpenOptions>>>::check(value, name) }?
        else {
            return Ok(How(OpenOptions::default()));
        };
        let mut how = OpenOptions::new(OpenFlags::from_bits(options.flags));
        if !matches!(options.expected_size, 0 | abi::SIZE_UNKNOWN) {
            how = how.expected_size(options.expected_size);
        }
        // SAFETY: the struct's own pointers, as the header says.
        let (settings, offered) = unsafe {
            (
                <Option<Pairs>>::check(options.settings, "options.settings")?,
                <Option<Pairs>>::check(options.offered, "options.offered")?,
            )
        };
        for (name, value) in settings.map(|settings| settings.0).unwrap_or_default() {
            how = how.setting(name, value);
        }
        for (name, value) in offered.map(|offered| offered.0).unwrap_or_default() {
            let Some(known) = OFFERS.into_iter().find(|known| *known == name) else {
                let (name, known) = (name.escape_debug(), OFFERS.join(", "));
                return Err(Error::new(Code::EINVAL, format!("options.offered: `{name}`: only {known}")));
            };
            if known == "writers" && value.parse::<u64>().is_err() {
                return Err(Error::new(Code::EINVAL, "options.offered: `writers` is a number"));
            }
            how = how.offer(known, value);
        }
        if !options.control.is_null() {
            // SAFETY: the struct's own pointer, as the header says.
            let shared: Shared<Control> = unsafe { Shared::check(options.control, "options.control") }?;
            how = how.control(&shared);
        }
        Ok(How(how))
    }
}

/// The host as providers see it.
struct CHost {
    name: String,
    version: String,
    least: u32,
    log: Option<(LogFn, Arg)>,
}

/// The caller's own, passed back to him.
#[derive(Clone, Copy)]
struct Arg(*mut c_void);

// SAFETY: never followed here; the header says that the log is called on any thread, so its author made it fit for that.
unsafe impl Send for Arg {}
// SAFETY: as above.
unsafe impl Sync for Arg {}

impl CHost {
    fn new(options: Option<RegistryOptions>) -> Result<CHost> {
        let mut host = CHost {
            name: "libzvfs".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            least: Level::Warning as u32,
            log: None,
        };
        let Some(options) = options else { return Ok(host) };
        if options.reserved != 0 {
            return Err(Error::new(Code::EINVAL, "options.reserved is not 0"));
        }
        // SAFETY: the struct's own strings, as the header says; they are copied.
        let (name, version) =
            unsafe { (text(options.name, "options.name")?, text(options.version, "options.version")?) };
        if let Some(name) = name {
            host.name = name.to_owned();
        }
        if let Some(version) = version {
            host.version = version.to_owned();
        }
        if options.log_level != 0 {
            host.least = options.log_level;
        }
        host.log = options.log.map(|log| (log, Arg(options.log_arg)));
        Ok(host)
    }
}

/// The host of a program that says nothing of itself.
pub fn host() -> Result<Host> {
    Ok(Host::new(Arc::new(CHost::new(None)?)))
}

impl HostCalls for CHost {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn log(&self, level: Level, text: &str) {
        if level as u32 > self.least {
            return;
        }
        match self.log {
            Some((log, arg)) => {
                let line = CString::new(text).unwrap_or_default();
                // SAFETY: the caller's own function with its own argument; the text is valid during the call.
                unsafe { log(arg.0, level as u32, line.as_ptr()) }
            }
            None => log_to_stderr(&self.name, text),
        }
    }
}

extern_c! { exported by "libzvfs":
    fn zvfs_registry_new(
        configuration: Option<Object<Configuration>>, options: Option<Options<RegistryOptions>>, out: Place<'_, *const RegistrySlot>
    ) -> i32 {
        let host = CHost::new(options.map(|options| options.0))?;
        let configuration = match configuration {
            Some(object) => {
                let slot: &'static ConfigurationSlot = object.slot();
                slot.shared().map_err(|error| error.context("configuration"))?.clone()
            }
            None => find(None)?,
        };
        let registry = Registry::with_host(configuration, Host::new(Arc::new(host)));
        out.put(REGISTRIES.insert(Hosted { registry, jobs: Jobs::new(POLL_THREADS) }));
        Ok(())
    }
    fn zvfs_registry_register(registry: Registered, provider: Table) -> i32 {
        // SAFETY: the header: NULL, or a table that stays for the rest of the process.
        let provider = unsafe { built_in(provider.0) }.map_err(|error| error.context("register"))?;
        registry.0.registry.register(provider)
    }
    fn zvfs_registry_open(
        registry: Registered, descriptor: &str, options: How, out: Place<'_, *const HandleSlot>
    ) -> i32 {
        let file = registry.0.registry.open(descriptor, &options.0)?;
        let shown = file.shown().to_owned();
        out.put(hand_out(PolledFile::new(file, registry.0.jobs), &shown));
        Ok(())
    }
    fn zvfs_registry_open_start(
        registry: Registered, descriptor: &str, options: How, out: Place<'_, *const HandleSlot>
    ) -> i32 {
        let shown = Descriptor::parse(descriptor)?.to_string();
        let file = PolledFile::open(&registry.0.registry, descriptor, options.0, registry.0.jobs)?;
        out.put(hand_out(file, &shown));
        Ok(())
    }
    fn zvfs_registry_set_poll_threads(registry: Registered, count: u32) -> i32 {
        if !(1..=POLL_THREADS_MAX).contains(&count) {
            return Err(Error::new(Code::EINVAL, format!("poll threads: {count}: 1 to {POLL_THREADS_MAX}")));
        }
        registry.0.jobs.set_limit(count as usize);
        Ok(())
    }
    fn zvfs_registry_supported_flags(registry: Registered, descriptor: &str, out: Place<'_, u64>) -> i32 {
        out.put(registry.0.registry.supported_flags(descriptor, &OpenOptions::default())?.bits());
        Ok(())
    }
    fn zvfs_registry_stat(registry: Registered, descriptor: &str, options: How, out: Answer<'_, abi::Stat>) -> i32 {
        out.put(abi::Stat::from(&registry.0.registry.stat(descriptor, &options.0)?));
        Ok(())
    }
    fn zvfs_registry_list(
        registry: Registered, descriptor: &str, options: How, each: Callback<abi::EntryFn>, arg: *mut c_void
    ) -> i32 {
        registry.0.registry.list(descriptor, &options.0, &mut |entry| {
            // SAFETY: the caller's own function with its own argument.
            unsafe { pass_entry(entry, each.0, arg) }
        })
    }
    fn zvfs_registry_names(
        registry: Registered, descriptor: &str, options: How, each: Callback<abi::NameFn>, arg: *mut c_void
    ) -> i32 {
        registry.0.registry.names(descriptor, &options.0, &mut |name| {
            // SAFETY: as for an entry.
            unsafe { pass_name(name, each.0, arg) }
        })
    }
    fn zvfs_registry_remove(registry: Registered, descriptor: &str, options: How) -> i32 {
        registry.0.registry.remove(descriptor, &options.0)
    }
    fn zvfs_registry_make_folder(registry: Registered, descriptor: &str, options: How) -> i32 {
        registry.0.registry.make_folder(descriptor, &options.0)
    }
    fn zvfs_registry_remove_folder(registry: Registered, descriptor: &str, options: How) -> i32 {
        registry.0.registry.remove_folder(descriptor, &options.0)
    }
    fn zvfs_registry_set_modified(registry: Registered, descriptor: &str, options: How, time: Time) -> i32 {
        registry.0.registry.set_modified(descriptor, &options.0, time.0)
    }
    fn zvfs_registry_free(registry: Option<Object<Hosted>>) -> (), plain {
        registry.map_or(Ok(()), |object| {
            // The handles keep the registry itself, for layers; what none of them uses stops now.
            REGISTRIES.remove_soon(object.slot()).map(|registry| registry.into_iter().for_each(|hosted| hosted.registry.release()))
        })
    }
}
