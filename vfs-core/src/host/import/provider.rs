//! A library behind the ABI as a provider.
#![expect(unsafe_code, reason = "takes the other side's table")]

use crate::abi;
use crate::code::Code;
use crate::error::{Error, Result};
use crate::host::import::instance::ImportedInstance;
use crate::host::import::library::ImportedLibrary;
use crate::host::import::opening::Handle;
use crate::provider::{Host, Info, Instance, Provider, Threads};
use crate::settings::Settings;
use std::sync::Arc;

/// A provider that came through the ABI.
pub(crate) struct Imported(Arc<ImportedLibrary>);

impl Imported {
    /// Copies a table and checks it. The error is the defect, in words.
    ///
    /// # Safety
    /// `table` is NULL or points to what a provider's entry returned, and stays.
    pub(crate) unsafe fn new(table: *const abi::Provider) -> Result<Imported, String> {
        // SAFETY: the caller's promise.
        unsafe { ImportedLibrary::new(table) }.map(|library| Imported(Arc::new(library)))
    }

    pub(super) fn start_instance(&self, host: Host, settings: &Settings) -> Result<ImportedInstance> {
        ImportedInstance::start(self.0.clone(), host, settings)
    }
}

impl Provider for Imported {
    fn info(&self) -> Info {
        self.0.info.clone()
    }

    fn start(&self, host: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Handle(Arc::new(self.start_instance(host, &settings)?))))
    }

    fn is_in_its_turn(&self) -> bool {
        self.0.info.threads == Threads::PerLibrary && self.0.serial.is_owned_by_current_thread()
    }
}

/// Takes a provider that is part of the program itself, as the table that its entry returns: for
/// [`Registry::register`](crate::Registry::register). What the loader does with a library's table is done here too.
///
/// # Safety
/// `table` is NULL or points to a table as `zvfs_provider.h` says, which stays for as long as the process.
///
/// # Errors
/// ELIBBAD: the table breaks a rule of the header.
pub unsafe fn built_in(table: *const abi::Provider) -> Result<Box<dyn Provider>> {
    // SAFETY: the caller's promise.
    match unsafe { Imported::new(table) } {
        Ok(imported) => Ok(Box::new(imported)),
        Err(defect) => Err(Error::new(Code::ELIBBAD, format!("breaks the provider ABI: {defect}"))),
    }
}
