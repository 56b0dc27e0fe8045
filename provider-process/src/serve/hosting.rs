//! The host as the provider has it.

use super::inner::InnerFile;
use super::link::{Link, Route, other_reply, reply, tell};
use std::ops::ControlFlow;
use std::sync::Arc;
use vfs_core::process::file_of;
use vfs_core::process::wire::{InnerRequest, NameCall, OnConnection, Reply, Upcall};
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
        let request = asked(context, descriptor, options)?;
        let mut route = self.link.route(context)?;
        let (mut came, mut goes_on) = (route.ask(Upcall::Name(NameCall::List, request))?, true);
        while let (Reply::Names(names), true) = (&came, goes_on) {
            // The layer may make upcalls of its own in here: the connection is free for them.
            goes_on = names.iter().all(|name| {
                let stat = name.stat.clone().map(Stat::from);
                let name = Name { bytes: &name.bytes, stat: stat.as_ref() };
                name.entry().is_none_or(|entry| each(entry).is_continue())
            });
            came = answer(&mut route, goes_on)?;
        }
        match came {
            Reply::Done => Ok(()),
            _ => Err(other_reply()),
        }
    }

    fn remove(&self, context: &Context, descriptor: &str, options: &Inner) -> Result<()> {
        match self.name(context, NameCall::Remove, descriptor, options)? {
            Reply::Done => Ok(()),
            _ => Err(other_reply()),
        }
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
