//! What every function that C can call has in common, of a provider, of the host's table, of libzvfs and of libzvm: the one macro
//! that defines it, with the panic guard inside; arguments that are checked; structs that are read within their size.

mod argument;
mod entry;
mod error;
mod sized;
mod strings;
mod time;

pub use argument::{Argument, Behind, Callback, Input, Output, Place, copied, null, text};
pub use entry::{Out, Tried, guarded};
#[cfg(feature = "host")]
pub(crate) use error::shortened;
pub use sized::{Answer, Growing, Options, Struct, read};
pub use strings::{c_string, read_array, write_array};
pub use time::Time;
pub(crate) use time::{time_from_ns, time_to_ns};
