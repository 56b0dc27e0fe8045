//! A library's functions, bare, for the conformance suite: it calls them as no host would, to see that they bear it.

use crate::abi;
use crate::error::Result;
use crate::host::import::instance::ImportedInstance;
use crate::host::import::opening::PassedRequest;
use crate::host::import::provider::Imported;
use crate::provider::{Host, Request};
use crate::settings::Settings;

/// A started instance with the table of its library. Stops when dropped; its files must be closed before that.
pub struct Bare(ImportedInstance);

impl Bare {
    pub(crate) fn start(imported: &Imported, host: Host, settings: &Settings) -> Result<Bare> {
        imported.start_instance(host, settings).map(Bare)
    }

    /// The host's copy of the library's table.
    pub fn table(&self) -> &abi::Provider {
        &self.0.library.table
    }

    /// The instance, for the table's functions.
    pub fn instance(&self) -> *mut abi::Instance {
        self.0.raw
    }

    /// Makes a call with a request in C's form, whose strings are valid during the call; the context is the request's.
    pub fn with_request<T>(&self, request: &Request<'_>, call: impl FnOnce(&abi::OpenRequest) -> T) -> T {
        call(&PassedRequest::new(request, request.context()).request())
    }
}
