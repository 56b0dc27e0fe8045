//! Where the library that is checked runs: in the child that checks it, or in a process of its own.

use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::path::Path;
use vfs_core::{Control, Error, Library, Provider, Registry, Result, Walls};

/// The place of one run of the suite.
#[derive(Args, Clone, Debug, Default)]
pub struct Placed {
    /// Where the library runs: in the checking program, as in a host; in a process of its own behind walls; or the suite in both
    #[arg(long, value_enum, default_value_t)]
    place: Place,
    /// What it may do in a process, as in the operator's file: 'dns = true, read = ["/etc/ssl"]'
    #[arg(long, value_name = "TABLE", value_parser = walls)]
    may: Option<May>,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Host,
    Process,
    All,
}

/// What was written, and what that means.
#[derive(Clone, Debug)]
struct May {
    text: String,
    walls: Walls,
}

fn walls(text: &str) -> std::result::Result<May, String> {
    let walls = text.parse().map_err(|error: Error| error.chain())?;
    Ok(May { text: text.to_owned(), walls })
}

impl Placed {
    /// One for each place, with the words that tell it from the others; none if it is the only one.
    pub fn each(&self) -> Vec<(&'static str, Placed)> {
        let at = |place| Placed { place, ..self.clone() };
        match self.place {
            Place::All => vec![("in the host", at(Place::Host)), ("in a process", at(Place::Process))],
            place => vec![("", at(place))],
        }
    }

    /// The place to look at the library in. Where it may run in a process only, nothing of it runs elsewhere.
    pub fn first(&self) -> Placed {
        self.each().into_iter().next().map_or_else(Placed::default, |(_, place)| place)
    }

    pub fn in_process(&self) -> bool {
        self.place == Place::Process
    }

    pub fn load(&self, registry: &Registry, library: &Path) -> Result<Box<dyn Provider>> {
        if self.in_process() {
            let walls = self.may.as_ref().map(|may| may.walls.clone()).unwrap_or_default();
            return registry.load_in_process(library, &walls, &Control::new());
        }
        Ok(Box::new(Library::load_any(library, None)?))
    }

    /// The arguments that say the same to a child.
    pub fn arguments(&self) -> Vec<OsString> {
        let place = self.place.to_possible_value().map(|value| format!("--place={}", value.get_name()));
        let may = self.may.as_ref().map(|may| format!("--may={}", may.text));
        place.into_iter().chain(may).map(OsString::from).collect()
    }
}
