//! `zvm.h`: named pipes in four functions, and two for what goes wrong.

use crate::argument::Object;
use crate::errno::{Errno, with_last};
use crate::pipe::{Pipe, closed};
use crate::pool::{Kind, Pool, Slot};
use crate::process::Process;
use std::ffi::c_int;
use std::ptr;
use std::sync::Arc;
use vfs_core::boundary::{Argument, Input, Output};
use vfs_core::{Code, Error, Result, abi, extern_c};

type PipeSlot = Slot<Arc<Pipe>>;

static PIPES: Pool<Arc<Pipe>> = Pool::new();

impl Kind for Arc<Pipe> {
    const NAME: &'static str = "pipe";
}

/// The pipe behind a pointer, which another thread may close meanwhile.
struct Opened(Arc<Pipe>);

impl Argument for Opened {
    type C = *const PipeSlot;

    unsafe fn check(value: *const PipeSlot, name: &'static str) -> Result<Opened> {
        // SAFETY: the caller's promise is the same.
        let object = unsafe { <Option<Object<Arc<Pipe>>>>::check(value, name) }?;
        match object {
            Some(object) => {
                // A close takes it out in a moment: what is busy is as good as closed.
                let busy = |error: Error| if error.code() == Code::EBUSY { closed() } else { error };
                Ok(Opened(object.slot().shared().map_err(busy)?.clone()))
            }
            None => Err(Error::new(Code::EBADF, "the pipe is NULL")),
        }
    }
}

/// Takes a pipe out of a pointer, which is of no use from then on; `None`: it is the parent's, which goes on using it.
fn taken(pipe: Option<Object<Arc<Pipe>>>) -> Result<Option<Arc<Pipe>>> {
    let object = pipe.ok_or_else(|| Error::new(Code::EBADF, "the pipe is NULL"))?;
    // Whoever uses the slot only clones what is in it. From here on other threads find it closed.
    PIPES.remove_soon(object.slot())
}

/// The caller's struct for an error's text.
struct ErrorPlace(*mut abi::Error);

impl Argument for ErrorPlace {
    type C = *mut abi::Error;

    unsafe fn check(value: *mut abi::Error, _: &'static str) -> Result<ErrorPlace> {
        if value.is_null() { Err(Error::from(Code::EINVAL)) } else { Ok(ErrorPlace(value)) }
    }
}

fn size(count: i32) -> Result<u64> {
    u64::try_from(count).map_err(|_| Error::new(Code::EINVAL, format!("count {count} is negative")))
}

extern_c! { exported by "libzvfs":
    fn netpipe_open(descriptor: &str) -> Errno<*const PipeSlot>, plain {
        let process = Process::current();
        let pipe = Arc::new(Pipe::open(&process.registry()?, descriptor, process.follower())?);
        process.watch(&pipe);
        Ok(ptr::from_ref(PIPES.insert(pipe)))
    }
    fn netpipe_close(pipe: Option<Object<Arc<Pipe>>>) -> Errno<c_int>, plain {
        taken(pipe)?.map_or(Ok(()), |pipe| pipe.close())
    }
    fn netpipe_abort(pipe: Option<Object<Arc<Pipe>>>) -> Errno<c_int>, plain {
        taken(pipe)?.map_or(Ok(()), |pipe| pipe.abort())
    }
    fn netpipe_set_timeout(pipe: Opened, milliseconds: i64) -> Errno<c_int>, plain {
        let wanted = u64::try_from(milliseconds);
        let wanted = wanted.map_err(|_| Error::new(Code::EINVAL, format!("timeout {milliseconds} ms is negative")))?;
        pipe.0.set_timeout(wanted);
        Ok(())
    }
    fn netpipe_read(pipe: Opened, buf: Output<'_>, count: i32) -> Errno<i64>, plain {
        // SAFETY: the header: buf[0..count] is the caller's and writable.
        let buf = unsafe { buf.bytes(size(count)?) }?;
        pipe.0.call(|file| file.read(buf))
    }
    fn netpipe_write(pipe: Opened, buf: Input<'_>, count: i32) -> Errno<i64>, plain {
        // SAFETY: the header: buf[0..count] is the caller's and readable.
        let buf = unsafe { buf.bytes(size(count)?) }?;
        pipe.0.write(buf)
    }
    fn zvfs_netpipe_error(out: ErrorPlace) -> i32, plain {
        let mut error = abi::Error { struct_size: abi::Error::SIZE, code: 0, flags: 0, message: [0; 1000] };
        with_last(|last| error.set(last));
        // SAFETY: not NULL, so a struct of the caller's own, valid during the call.
        unsafe { *out.0 = error };
        Ok(())
    }
}
