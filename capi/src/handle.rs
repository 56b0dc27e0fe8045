//! `zvfs.h`: handle.

use crate::argument::Object;
use crate::pool::{Exclusive, Kind, Pool, Shared, Slot};
use crate::structs::ProgressFn;
use std::ffi::{CString, c_char, c_void};
use std::io::SeekFrom;
use std::ptr;
use vfs_core::boundary::{Answer, Callback, Input, Output, Time, Tried};
use vfs_core::{Code, Error, Finish, Flush, PolledFile, Result, Wanted, abi, copy, extern_c};

pub type HandleSlot = Slot<Handle>;

static HANDLES: Pool<Handle> = Pool::new();

/// An open file, or one that is being opened, as C has it.
pub struct Handle {
    file: PolledFile,
    /// In C's form.
    shown: CString,
}

impl Kind for Handle {
    const NAME: &'static str = "handle";
}

/// Gives a file to C, with the descriptor for messages.
pub fn hand_out(file: PolledFile, shown: &str) -> *const HandleSlot {
    let shown = CString::new(shown).unwrap_or_default();
    HANDLES.insert(Handle { file, shown })
}

fn finish_of(how: u32) -> Result<Finish> {
    let known = [Finish::End, Finish::Commit, Finish::Discard].into_iter().find(|known| *known as u32 == how);
    known.ok_or_else(|| Error::new(Code::EINVAL, format!("finish: unknown value {how}")))
}

extern_c! { exported by "libzvfs":
    fn zvfs_handle_capabilities(handle: Shared<Handle>) -> u64, plain {
        Ok(handle.file.capabilities().bits())
    }
    fn zvfs_handle_shown(handle: Shared<Handle>) -> *const c_char, plain {
        Ok(handle.shown.as_ptr())
    }
    fn zvfs_handle_read(handle: Exclusive<Handle>, buf: Output<'_>, n: u64) -> i64 {
        // SAFETY: the header: buf[0..n] is the caller's and writable.
        let buf = unsafe { buf.bytes(n) }?;
        handle.file.file_mut()?.read(buf)
    }
    fn zvfs_handle_write(handle: Exclusive<Handle>, buf: Input<'_>, n: u64) -> i64 {
        // SAFETY: the header: buf[0..n] is the caller's and readable.
        let buf = unsafe { buf.bytes(n) }?;
        handle.file.file_mut()?.write(buf)
    }
    fn zvfs_handle_write_all(handle: Exclusive<Handle>, buf: Input<'_>, n: u64) -> i32 {
        // SAFETY: as for write.
        let buf = unsafe { buf.bytes(n) }?;
        handle.file.file_mut()?.write_all(buf)
    }
    fn zvfs_handle_read_at(handle: Shared<Handle>, buf: Output<'_>, n: u64, offset: u64) -> i64 {
        // SAFETY: as for read.
        let buf = unsafe { buf.bytes(n) }?;
        handle.file.file()?.read_at(buf, offset)
    }
    fn zvfs_handle_write_at(handle: Shared<Handle>, buf: Input<'_>, n: u64, offset: u64) -> i64 {
        // SAFETY: as for write.
        let buf = unsafe { buf.bytes(n) }?;
        handle.file.file()?.write_at(buf, offset)
    }
    fn zvfs_handle_seek(handle: Exclusive<Handle>, offset: i64, whence: u32) -> i64 {
        let to = match whence {
            abi::SEEK_SET => SeekFrom::Start(
                u64::try_from(offset).map_err(|_| Error::new(Code::EINVAL, "seek: before the start"))?,
            ),
            abi::SEEK_CUR => SeekFrom::Current(offset),
            abi::SEEK_END => SeekFrom::End(offset),
            _ => return Err(Error::new(Code::EINVAL, format!("seek: unknown whence {whence}"))),
        };
        handle.file.file_mut()?.seek(to)
    }
    fn zvfs_handle_tell(handle: Exclusive<Handle>) -> i64 {
        handle.file.file_mut()?.tell()
    }
    fn zvfs_handle_truncate(handle: Exclusive<Handle>, size: u64) -> i32 {
        handle.file.file_mut()?.truncate(size)
    }
    fn zvfs_handle_stat(handle: Exclusive<Handle>, out: Answer<'_, abi::Stat>) -> i32 {
        out.put(abi::Stat::from(&handle.file.file_mut()?.stat()?));
        Ok(())
    }
    fn zvfs_handle_set_modified(handle: Exclusive<Handle>, time: Time) -> i32 {
        handle.file.file_mut()?.set_modified(time.0)
    }
    fn zvfs_handle_flush(handle: Exclusive<Handle>, level: u32) -> i32 {
        let level = [Flush::Push, Flush::Sync].into_iter().find(|known| *known as u32 == level)
            .ok_or_else(|| Error::new(Code::EINVAL, format!("flush: unknown level {level}")))?;
        handle.file.file_mut()?.flush(level)
    }
    fn zvfs_handle_finish(handle: Exclusive<Handle>, how: u32) -> i32 {
        let how = finish_of(how)?;
        handle.file.file_mut()?.finish(how)
    }
    fn zvfs_handle_interest(handle: Exclusive<Handle>, wanted: u32, out: Answer<'_, abi::Interest>) -> i32 {
        let wanted = Wanted::from_abi(wanted)?;
        out.put(handle.file.interest(wanted)?.into());
        Ok(())
    }
    fn zvfs_handle_try_read(handle: Exclusive<Handle>, buf: Output<'_>, n: u64) -> i64 {
        // SAFETY: as for read.
        let buf = unsafe { buf.bytes(n) }?;
        handle.file.try_read(buf).map(Tried)
    }
    fn zvfs_handle_try_write(handle: Exclusive<Handle>, buf: Input<'_>, n: u64) -> i64 {
        // SAFETY: as for write.
        let buf = unsafe { buf.bytes(n) }?;
        handle.file.try_write(buf).map(Tried)
    }
    fn zvfs_handle_try_finish(handle: Exclusive<Handle>, how: u32) -> i32 {
        let how = finish_of(how)?;
        handle.file.try_finish(how).map(Tried)
    }
    fn zvfs_handle_copy(
        source: Object<Handle>, target: Object<Handle>, limit: u64, progress: Option<Callback<ProgressFn>>, arg: *mut c_void
    ) -> i64 {
        copied(source.slot(), target.slot(), limit, &mut |bytes| {
            if let Some(progress) = progress {
                // SAFETY: the caller's own function with its own argument.
                unsafe { (progress.0)(arg, bytes) };
            }
        })
    }
    fn zvfs_handle_close(handle: Option<Object<Handle>>) -> i32, plain {
        handle.map_or(Ok(()), |object| HANDLES.remove(object.slot()).map(drop))
    }
}

fn copied(
    source: &'static HandleSlot,
    target: &'static HandleSlot,
    limit: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<u64> {
    if ptr::eq(source, target) {
        return Err(Error::new(Code::EINVAL, "copy: source and target are the same handle"));
    }
    let mut source = source.exclusive().map_err(|error| error.context("source"))?;
    let mut target = target.exclusive().map_err(|error| error.context("target"))?;
    let limit = (limit != u64::MAX).then_some(limit);
    copy(source.file.file_mut()?, target.file.file_mut()?, limit, progress)
}
