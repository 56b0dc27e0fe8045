//! What the guest may take of the host's memory.

use crate::exit::one_line;
use rustix::process::{Resource, getrlimit};
use vfs_core::Code;
use wasmtime::{Error, ResourceLimiter, Result};

/// What a table element is counted as: the engine keeps a pointer for each, and what hangs on it.
pub(crate) const TABLE_ELEMENT: usize = 16;

/// One budget for linear memory and tables.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    limit: usize,
    used: usize,
    /// A request was within the budget, so that its failure is the host's.
    granted: bool,
    refused: bool,
}

/// The host could not serve what the budget allows.
#[derive(Debug, thiserror::Error)]
#[error("the host has no memory left for the guest")]
pub(super) struct HostMemory;

/// Why a guest's memory cannot be made: the engine reserves the address space of the largest one, whatever the manifest says.
pub(super) fn no_room(error: &Error) -> String {
    let limit = match getrlimit(Resource::As).current {
        Some(limit) => format!(", and this process may have {} MiB for all (ulimit -v)", limit >> 20),
        None => String::new(),
    };
    let cause = error.root_cause();
    let system = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    let system = system.or_else(|| Some(cause.downcast_ref::<rustix::io::Errno>()?.raw_os_error()));
    let reason = match system {
        Some(number) => Code::from_raw(number.into()).text().to_owned(),
        None => one_line(&cause.to_string()),
    };
    format!(
        "the host has no room for the guest's memory: each guest takes over 4 GiB of address space{limit}: {reason}"
    )
}

impl MemoryBudget {
    /// A budget in bytes.
    pub(super) fn new(bytes: u64) -> MemoryBudget {
        let limit = usize::try_from(bytes).unwrap_or(usize::MAX);
        MemoryBudget { limit, used: 0, granted: false, refused: false }
    }

    /// In bytes.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether something was refused. A running guest sees that itself; for a module that doesn't even start, it is why.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>, unit: usize) -> bool {
        let more = desired.saturating_sub(current).saturating_mul(unit);
        let used = self.used.saturating_add(more);
        let within = used <= self.limit && maximum.is_none_or(|maximum| desired <= maximum);
        if within {
            self.used = used;
        } else {
            self.refused = true;
        }
        self.granted = within;
        within
    }

    /// Tells the host's failure from a request that no memory of this type can have.
    fn failed(&self, error: &Error) -> Result<()> {
        let host = error.is::<rustix::io::Errno>() || error.is::<wasmtime::error::OutOfMemory>();
        if self.granted && host { Err(Error::new(HostMemory)) } else { Ok(()) }
    }
}

impl ResourceLimiter for MemoryBudget {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        Ok(self.grow(current, desired, maximum, 1))
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        self.failed(&error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        Ok(self.grow(current, desired, maximum, TABLE_ELEMENT))
    }

    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        self.failed(&error)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        16
    }

    fn memories(&self) -> usize {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 65536;

    #[test]
    fn memory_and_tables_share_one_budget() {
        let mut budget = MemoryBudget::new(2 * PAGE as u64);
        assert!(budget.memory_growing(0, PAGE, None).unwrap());
        assert!(budget.table_growing(0, PAGE / TABLE_ELEMENT, None).unwrap());
        assert!(!budget.table_growing(PAGE / TABLE_ELEMENT, PAGE / TABLE_ELEMENT + 1, None).unwrap());
        assert!(!budget.memory_growing(PAGE, 2 * PAGE, None).unwrap());
        assert!(!budget.table_growing(0, usize::MAX, None).unwrap());
    }

    #[test]
    fn a_refusal_costs_no_budget() {
        let mut budget = MemoryBudget::new(2 * PAGE as u64);
        assert!(!budget.refused());
        assert!(!budget.memory_growing(0, 3 * PAGE, None).unwrap());
        assert!(budget.refused());
        assert!(!budget.memory_growing(0, 2 * PAGE, Some(PAGE)).unwrap());
        assert!(budget.memory_growing(0, 2 * PAGE, None).unwrap());
    }

    #[test]
    fn a_host_without_memory_ends_the_session_but_an_impossible_request_does_not() {
        let mut budget = MemoryBudget::new(u64::MAX);
        assert!(budget.memory_growing(0, PAGE, None).unwrap());
        assert!(
            budget.memory_grow_failed(Error::new(rustix::io::Errno::NOMEM)).unwrap_err().is::<HostMemory>()
        );
        let wrapped = Error::new(rustix::io::Errno::NOMEM).context("mmap failed");
        assert!(budget.memory_grow_failed(wrapped).unwrap_err().is::<HostMemory>());
        budget.memory_grow_failed(Error::msg("over this type's limits")).unwrap();
    }
}
