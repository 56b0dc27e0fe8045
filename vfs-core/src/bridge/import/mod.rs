//! C to traits: a loaded library's table as a [`Provider`](crate::Provider). Every call of a provider passes here and is
//! checked: counts, positions, codes, panics' leftovers, forks, and the promise of `threads`.

mod bare;
mod call;
mod file;
mod hosting;
mod instance;
mod layers;
mod rules;
mod table;

pub use bare::Bare;
pub(crate) use table::Imported;
pub use table::built_in;
