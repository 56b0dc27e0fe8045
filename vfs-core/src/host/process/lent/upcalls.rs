//! What a provider in a process asks its host for: the files that a layer opens, and the names that a listing finds.

use super::{Answered, Caller, Lent};
use crate::code::Code;
use crate::context::Context;
use crate::descriptor::Descriptor;
use crate::entry::Name;
use crate::error::{Error, Result};
use crate::file::File;
use crate::flags::{Capabilities, OpenFlags};
use crate::host::process::child::Child;
use crate::host::process::payload::Half;
use crate::host::process::wire::{
    CHUNK, FileCall, InnerId, InnerRequest, NameCall, NameEntry, PACKET, Reply, Upcall, WireStat,
};
use crate::provider::{Host, Inner};
use std::mem;
use std::ops::ControlFlow;

/// Serves one upcall and answers it.
///
/// # Errors
/// EIO: the process is gone, or was killed since it broke the protocol.
pub(super) fn serve(connection: &mut Lent<'_>, upcall: Upcall, caller: &mut Caller<'_>) -> Result<()> {
    let child = connection.child();
    let served = match upcall {
        Upcall::Names(names) => match caller.take_names(names) {
            Some(on) => Ok(Reply::Number(on.into())),
            None => return Err(connection.broken("it lists what nobody asked for")),
        },
        Upcall::Open(request) => open(child, &request),
        Upcall::SupportedFlags(request) => supported_flags(child, &request),
        Upcall::Name(what @ (NameCall::List | NameCall::Names), request) => {
            list(connection, what, &request, caller)?
        }
        Upcall::Name(what, request) => Layer::of(child, &request).and_then(|layer| layer.name(what)),
        Upcall::File { inner, call } => file_call(connection, inner, call),
        Upcall::Close { inner } => {
            child.inners.close(inner);
            Ok(Reply::Done)
        }
    };
    let reply = served.unwrap_or_else(|error| Reply::Failed((&error).into()));
    connection.say(Half::Upcall, &reply)
}

/// A layer, as its upcall names it.
struct Layer<'a> {
    host: &'a Host,
    context: Context,
    descriptor: &'a str,
    options: Inner,
}

impl<'a> Layer<'a> {
    fn of(child: &'a Child, request: &'a InnerRequest) -> Result<Layer<'a>> {
        let closed = || Error::new(Code::EINVAL, "an inner file needs the context of an open file");
        let context = child.context(request.file).ok_or_else(closed)?;
        let host = child.host.get().ok_or_else(crate::provider::busy_in_start)?;
        let descriptor = Descriptor::parse(&request.descriptor)?;
        let scheme = descriptor.scheme().to_ascii_lowercase();
        if !child.walls.open.contains(&scheme) {
            let text = format!(
                "open {descriptor}: a provider in a process may not have its host open `{scheme}:`: add open = [\"{scheme}\"] to its `may`"
            );
            return Err(Error::new(Code::EACCES, text));
        }
        let mut options =
            Inner::new(OpenFlags::from_bits(request.flags)).expected_size(request.expected_size);
        options.settings.clone_from(&request.settings);
        Ok(Layer { host, context, descriptor: &request.descriptor, options })
    }

    /// A call on a name with one answer.
    fn name(&self, what: NameCall) -> Result<Reply> {
        let Layer { host, context, descriptor, options } = self;
        match what {
            NameCall::Stat => {
                return Ok(Reply::Stat(WireStat::from(&host.stat(context, descriptor, options)?)));
            }
            NameCall::Remove => host.remove(context, descriptor, options),
            NameCall::MakeFolder => host.make_folder(context, descriptor, options),
            NameCall::RemoveFolder => host.remove_folder(context, descriptor, options),
            NameCall::SetModified(time) => host.set_modified(context, descriptor, options, time.get()?),
            NameCall::List | NameCall::Names => {
                Err(Error::new(Code::EINVAL, "a listing has more than one answer"))
            }
        }?;
        Ok(Reply::Done)
    }
}

fn open(child: &Child, request: &InnerRequest) -> Result<Reply> {
    let layer = Layer::of(child, request)?;
    child.inners.check_room(child.open_files())?;
    let file = layer.host.open(&layer.context, layer.descriptor, &layer.options)?;
    // A process is lent no descriptor that is not its own.
    let masked = Capabilities::FD | Capabilities::SPLICE | Capabilities::POLL;
    let capabilities = file.capabilities().without(masked).bits();
    Ok(Reply::Opened { capabilities, inner: child.inners.add(request.file, file) })
}

fn supported_flags(child: &Child, request: &InnerRequest) -> Result<Reply> {
    let layer = Layer::of(child, request)?;
    let flags = layer.host.supported_flags(&layer.context, layer.descriptor)?;
    Ok(Reply::Number(flags.bits()))
}

/// Lists an inner directory, some names at a time. The outer error is the connection's.
fn list(
    connection: &mut Lent<'_>,
    what: NameCall,
    request: &InnerRequest,
    caller: &mut Caller<'_>,
) -> Result<Result<Reply>> {
    let layer = match Layer::of(connection.child(), request) {
        Ok(layer) => layer,
        Err(error) => return Ok(Err(error)),
    };
    let (mut names, mut size) = (Vec::new(), 0);
    let mut broken = None;
    let mut pass =
        |connection: &mut Lent<'_>, names: Vec<NameEntry>| match pass_names(connection, names, caller) {
            Ok(true) => ControlFlow::Continue(()),
            Ok(false) => ControlFlow::Break(()),
            Err(error) => {
                broken = Some(error);
                ControlFlow::Break(())
            }
        };
    let mut each = |name: Name<'_>| {
        let name = NameEntry { bytes: name.bytes.into(), stat: name.stat.map(WireStat::from) };
        size += name.size();
        names.push(name);
        if size < PACKET / 2 {
            return ControlFlow::Continue(());
        }
        size = 0;
        pass(connection, mem::take(&mut names))
    };
    let Layer { host, context, descriptor, options } = &layer;
    let listed = match what {
        NameCall::List => host.list(context, descriptor, options, &mut |entry| each(entry.into())),
        _ => host.names(context, descriptor, options, &mut each),
    };
    if listed.is_ok() && !names.is_empty() {
        let _ = pass(connection, names);
    }
    match broken {
        Some(error) => Err(error),
        None => Ok(listed.map(|()| Reply::Done)),
    }
}

/// Passes some names on. Returns whether the layer wants more.
fn pass_names(connection: &mut Lent<'_>, names: Vec<NameEntry>, caller: &mut Caller<'_>) -> Result<bool> {
    connection.say(Half::Upcall, &Reply::Names(names))?;
    match connection.answer(caller)? {
        Answered::GoOn(on) => Ok(on),
        Answered::Reply(..) => Err(connection.broken("it ends a call within a listing")),
    }
}

fn file_call(connection: &mut Lent<'_>, inner: InnerId, call: FileCall) -> Result<Reply> {
    let inner = connection.child().inners.find(inner)?;
    let busy = || Error::new(Code::EBUSY, "another call of the inner file is in progress");
    match call {
        FileCall::ReadAt { count, offset } => {
            let file = inner.file.try_read().map_err(|_| busy())?;
            read(connection, count, |buf| file.read_at(buf, offset))
        }
        FileCall::WriteAt { count, offset } => {
            let file = inner.file.try_read().map_err(|_| busy())?;
            write(connection, count, |buf| file.write_at(buf, offset))
        }
        call => {
            let mut file = inner.file.try_write().map_err(|_| busy())?;
            exclusive_call(connection, &mut **file, call)
        }
    }
}

fn exclusive_call(connection: &mut Lent<'_>, file: &mut dyn File, call: FileCall) -> Result<Reply> {
    match call {
        FileCall::Read { count } => read(connection, count, |buf| file.read(buf)),
        FileCall::Write { count } => write(connection, count, |buf| file.write(buf)),
        FileCall::Seek(to) => file.seek(to.into()).map(Reply::Number),
        FileCall::Tell => file.tell().map(Reply::Number),
        FileCall::Truncate { size } => file.truncate(size).map(|()| Reply::Done),
        FileCall::Flush(level) => file.flush(level).map(|()| Reply::Done),
        FileCall::Finish(how) => file.finish(how).map(|()| Reply::Done),
        FileCall::Stat => file.stat().map(|stat| Reply::Stat((&stat).into())),
        FileCall::SetModified(time) => file.set_modified(time.get()?).map(|()| Reply::Done),
        FileCall::ReadAt { .. }
        | FileCall::WriteAt { .. }
        | FileCall::Lease(_)
        | FileCall::Advance { .. } => {
            Err(Error::new(Code::ENOTSUP, "an inner file of a process has no leases"))
        }
    }
}

fn read(
    connection: &mut Lent<'_>,
    count: u32,
    read: impl FnOnce(&mut [u8]) -> Result<usize>,
) -> Result<Reply> {
    with_bytes(connection, count, |connection, bytes| {
        let count = read(bytes)?;
        connection.connection().payload().put(Half::Upcall, &bytes[..count]);
        Ok(Reply::Number(count as u64))
    })
}

fn write(connection: &mut Lent<'_>, count: u32, write: impl FnOnce(&[u8]) -> Result<usize>) -> Result<Reply> {
    with_bytes(connection, count, |connection, bytes| {
        connection.connection().payload().take(Half::Upcall, bytes);
        write(bytes).map(|count| Reply::Number(count as u64))
    })
}

/// Lends bytes of the host's own: those of the payload may change at any time.
fn with_bytes(
    connection: &mut Lent<'_>,
    count: u32,
    call: impl FnOnce(&mut Lent<'_>, &mut [u8]) -> Result<Reply>,
) -> Result<Reply> {
    let count = count as usize;
    if count == 0 || count > CHUNK {
        return Err(Error::new(Code::EINVAL, format!("{count} bytes: 1 to {CHUNK} at a time")));
    }
    let mut bytes = mem::take(&mut connection.connection().bytes);
    if bytes.len() < count {
        bytes.resize(count, 0);
    }
    let result = call(connection, &mut bytes[..count]);
    connection.connection().bytes = bytes;
    result
}
