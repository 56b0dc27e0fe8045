//! C to traits: a loaded library's table as a [`Provider`](crate::Provider). Every call of a provider passes here and is
//! checked: counts, positions, codes, panics' leftovers, forks, and the promise of `threads`.

mod bare;
mod calls;
mod file;
mod hosting;
mod info;
mod instance;
mod layers;
mod library;
mod opening;
mod provider;
mod read;
mod rules;

pub use bare::Bare;
pub(crate) use info::check_info;
pub(crate) use instance::PARENTS_INSTANCE;
pub(crate) use provider::Imported;
pub use provider::built_in;
