//! Memory that guests take in turns: reserved once, and used again without asking the kernel for it.

use super::engine::pooled;
use super::linker::Imports;
use parking_lot::Mutex;
use std::fmt;
use vfs_core::Result;
use wasmtime::{Engine, PoolingAllocationConfig};

/// Tables of a program that fits in; real ones have one or two.
const TABLES: u32 = 4;
/// Elements of each of them, 8 MiB of address space: more than a program's segments may have.
const ELEMENTS: usize = 1 << 20;
/// How much of a guest's memory is cleared by writing zeros when it ends, and stays its slot's: the stack and the data of a small
/// one. Pages beyond go back to the kernel, and each costs a fault when it is touched anew, and every core a flush of its TLB.
const MEMORY_KEPT: usize = 128 << 10;
/// The same of each table.
const TABLE_KEPT: usize = 4 << 10;
/// What the engine keeps for an instance, mostly 32 bytes for each function that is exported or in a table. Allocated when it is
/// needed, so that this is a limit and no reservation.
const INSTANCE: usize = 64 << 20;

/// An engine with room for so many guests at a time. It takes the machine code that the process's engine takes.
pub(crate) struct Pool {
    engine: Engine,
    imports: Mutex<Imports>,
}

impl Pool {
    /// Reserves the address space.
    ///
    /// # Errors
    /// ENOTSUP: the engine doesn't run on this machine. ENOMEM: there is no room.
    pub(crate) fn new(guests: u32) -> Result<Pool> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_core_instances(guests)
            .max_core_instance_size(INSTANCE)
            // One more for each: exceptions that it throws lie in a memory of their own.
            .total_memories(guests.saturating_mul(2))
            .total_tables(guests.saturating_mul(TABLES))
            .max_tables_per_module(TABLES)
            .table_elements(ELEMENTS)
            .linear_memory_keep_resident(MEMORY_KEPT)
            .table_keep_resident(TABLE_KEPT)
            .total_gc_heaps(guests)
            .max_unused_warm_slots(guests);
        let engine = pooled(pool)?;
        Ok(Pool { imports: Mutex::new(Imports::new(&engine)), engine })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn imports(&self) -> &Mutex<Imports> {
        &self.imports
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}
