//! A library's functions, bare, for the conformance suite: it calls them as no host would, to see that they bear it.

use crate::abi;
use crate::bridge::import::instance::{ImportedInstance, PassedRequest, start_shared};
use crate::bridge::import::table::Imported;
use crate::error::Result;
use crate::host::Host;
use crate::provider::Request;
use crate::settings::Settings;
use std::sync::Arc;

/// A started instance with the table of its library. Stops when dropped; its files must be closed before that.
pub struct Bare(Arc<ImportedInstance>);

impl Bare {
    pub(crate) fn start(imported: &Imported, host: Host, settings: &Settings) -> Result<Bare> {
        Ok(Bare(start_shared(imported.library(), host, settings)?))
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
