//! The host as the provider has it.

use super::inner::InnerFile;
use super::link::{Link, Route, other_reply, reply, tell};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;
use vfs_core::process::file_of;
use vfs_core::process::wire::{InnerRequest, NameCall, OnConnection, Reply, Time, Upcall};
use vfs_core::{
    Capabilities, Code, Context, Entry, Error, File, HostCalls, Inner, Level, Name, OpenFlags, Result, Stat,
};

pub(super) struct Hosting {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) link: Arc<Link>,
}

impl Hosting {
    /// Works on an inner name, with one answer.
    fn name(&self, context: &Context, what: NameCall, descriptor: &str, options: &Inner) -> Result<Reply> {
        let request = asked(context, descriptor, options)?;
        self.link.route(context)?.ask(Upcall::Name(what, request))
    }

    /// Changes an inner name.
    fn change(&self, context: &Context, what: NameCall, descriptor: &str, options: &Inner) -> Result<()> {
        match self.name(context, what, descriptor, options)? {
            Reply::Done => Ok(()),
            _ => Err(other_reply()),
        }
    }

    /// Lists an inner name, which has any number of answers.
    fn listed(
        &self,
        context: &Context,
        what: NameCall,
        descriptor: &str,
        options: &Inner,
        each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let request = asked(context, descriptor, options)?;
        let mut route = self.link.route(context)?;
        let (mut came, mut goes_on) = (route.ask(Upcall::Name(what, request))?, true);
        while let (Reply::Names(names), true) = (&came, goes_on) {
            // The layer may make upcalls of its own in here: the connection is free for them.
            goes_on = names.iter().all(|name| {
                let stat = name.stat.clone().map(Stat::from);
                each(Name { bytes: &name.bytes, stat: stat.as_ref() }).is_continue()
            });
            came = answer(&mut route, goes_on)?;
        }
        match came {
            Reply::Done => Ok(()),
            _ => Err(other_reply()),
        }
    }
}

impl HostCalls for Hosting {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn log(&self, level: Level, text: &str) {
        self.link.log(level, text);
    }

    fn open(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<Box<dyn File>> {
        let request = asked(context, descriptor, options)?;
        let Reply::Opened { capabilities, inner } = self.link.route(context)?.ask(Upcall::Open(request))?
        else {
            return Err(other_reply());
        };
        // Descriptors of the host's do not come here.
        let masked = Capabilities::FD | Capabilities::SPLICE | Capabilities::POLL;
        let capabilities = Capabilities::from_bits(capabilities).without(masked);
        Ok(Box::new(InnerFile { link: self.link.clone(), context: context.clone(), inner, capabilities }))
    }

    fn supported_flags(&self, context: &Context, descriptor: &str) -> Result<OpenFlags> {
        let request = asked(context, descriptor, &Inner::default())?;
        match self.link.route(context)?.ask(Upcall::SupportedFlags(request))? {
            Reply::Number(bits) => Ok(OpenFlags::from_bits(bits)),
            _ => Err(other_reply()),
        }
    }

    fn stat(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<Stat> {
        match self.name(context, NameCall::Stat, descriptor, options)? {
            Reply::Stat(stat) => Ok(stat.into()),
            _ => Err(other_reply()),
        }
    }

    fn list(
        &self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut each = |name: Name<'_>| name.entry().map_or(ControlFlow::Continue(()), &mut *each);
        self.listed(context, NameCall::List, descriptor, options, &mut each)
    }

    fn names(
        &self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.listed(context, NameCall::Names, descriptor, options, each)
    }

    fn remove(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        self.change(context, NameCall::Remove, descriptor, options)
    }

    fn make_folder(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        self.change(context, NameCall::MakeFolder, descriptor, options)
    }

    fn remove_folder(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        self.change(context, NameCall::RemoveFolder, descriptor, options)
    }

    fn set_modified(
        &self,
        context: &Context,
        descriptor: &str,
        options: &Inner,
        time: SystemTime,
    ) -> Result<()> {
        self.change(context, NameCall::SetModified(Time::new(time)?), descriptor, options)
    }
}

/// Says whether a listing goes on, and takes what comes then.
fn answer(route: &mut Route<'_>, goes_on: bool) -> Result<Reply> {
    route.with(|connection| {
        tell(connection, &OnConnection::GoOn(goes_on))?;
        reply(connection)
    })
}

fn asked(context: &Context, descriptor: &str, options: &Inner) -> Result<InnerRequest> {
    let foreign = || Error::new(Code::EINVAL, "an inner file needs the context of one of this host's files");
    let file = file_of(context).filter(|file| *file != 0).ok_or_else(foreign)?;
    Ok(InnerRequest::new(file, descriptor, options))
}
