//! A back-end that does everything right, in one process's memory, but for the one fault it is given.

use crate::fault::Fault;
use crate::file::{Reader, Writer};
use crate::place::Place;
use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use vfs_core::{Code, Error, File, Host, Info, Instance, OpenFlags, Provider, Request, Result, Settings};

/// What all hosts share: the network, as it were.
pub struct World {
    pub fault: Fault,
    places: Mutex<HashMap<String, Arc<Place>>>,
}

impl World {
    pub fn with(fault: Fault) -> World {
        World { fault, places: Mutex::default() }
    }

    fn place(&self, name: &str) -> Arc<Place> {
        let mut places = self.places.lock().unwrap();
        places.entry(name.to_owned()).or_insert_with(|| Arc::new(Place::with(self.fault))).clone()
    }
}

/// The provider `model`, with descriptors `model:name:r:writers` and `model:name:w`.
pub struct Model {
    world: Arc<World>,
}

impl Model {
    pub fn of(world: Arc<World>) -> Model {
        Model { world }
    }
}

impl Provider for Model {
    fn info(&self) -> Info {
        Info::new("model", "1", "pipes that are right in all but one thing")
            .supported_flags(OpenFlags::READ | OpenFlags::WRITE)
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Running {
            world: self.world.clone(),
            written: Mutex::default(),
            names: Mutex::default(),
        }))
    }
}

struct Running {
    world: Arc<World>,
    /// For `StopDropsData` only.
    written: Mutex<Vec<(Arc<Place>, u64)>>,
    /// For `RefusesItsOwnPipes` only.
    names: Mutex<HashSet<String>>,
}

/// A thread that ends when this is dropped.
pub struct Idle(#[expect(dead_code, reason = "it is its drop that counts")] Sender<()>);

impl Idle {
    fn start() -> Idle {
        let (keep, dropped) = channel::<()>();
        thread::spawn(move || dropped.recv());
        Idle(keep)
    }
}

impl Instance for Running {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let fault = self.world.fault;
        let parts: Vec<&str> = request.rest().split(':').collect();
        let (name, reads, writers) = match parts[..] {
            [name, "r", "*"] => (name, true, None),
            [name, "r", number] => (name, true, number.parse().ok()),
            [name, "w"] => (name, false, None),
            _ => return Err(Error::new(Code::EINVAL, "open: name:r:writers or name:w")),
        };
        let against = if reads { OpenFlags::WRITE } else { OpenFlags::READ };
        if request.flags().contains(against) && fault != Fault::IgnoresTheDirection {
            return Err(Error::new(Code::EBADF, "open: the descriptor says the other direction"));
        }
        if request.flags().is_empty() && fault == Fault::NeedsFlags {
            return Err(Error::new(Code::EINVAL, "open: say READ or WRITE"));
        }
        let new = self.names.lock().unwrap().insert(name.to_owned());
        if fault == Fault::RefusesItsOwnPipes && !new {
            return Err(Error::new(Code::EINVAL, "open: this host has the other end"));
        }
        let idle = (fault == Fault::ThreadForEachOpen).then(Idle::start);
        let (place, context) = (self.world.place(name), request.context().clone());
        if reads {
            let pipe = place.join_reader(writers);
            place.meet(&context, true)?;
            return Ok(Box::new(Reader::new(place, pipe, context, idle)));
        }
        let writer = place.join_writer()?;
        place.meet(&context, false)?;
        self.written.lock().unwrap().push((place.clone(), writer));
        Ok(Box::new(Writer::new(place, writer, context, idle)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.world.fault == Fault::StopDropsData {
            for (place, writer) in self.written.lock().unwrap().drain(..) {
                place.drop_data(writer);
            }
        }
    }
}
