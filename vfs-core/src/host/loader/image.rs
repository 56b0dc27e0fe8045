//! Whether a library's file is all there. The dynamic linker maps what the program headers promise without asking how long the
//! file is, so a half-copied library would kill the process with SIGBUS. Everything else about a file it checks itself.

use crate::host::loader::Refusal;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Of a 64-bit ELF file: `e_phoff`, `e_phentsize` and `e_phnum`, by their offset in the header.
const HEADERS_AT: usize = 32;
const HEADER_SIZE_AT: usize = 54;
const HEADER_COUNT_AT: usize = 56;
const ELF_HEADER: usize = 64;
/// Of a program header: `p_type`, `p_offset` and `p_filesz`.
const OFFSET_AT: usize = 8;
const FILE_SIZE_AT: usize = 32;
const PROGRAM_HEADER: usize = 56;
const LOAD: [u8; 4] = 1u32.to_ne_bytes();

/// Refuses a 64-bit ELF file that ends before the last of its loadable segments does.
pub(crate) fn check_whole(path: &Path, file: &File) -> Result<(), Refusal> {
    let unreadable = |source: io::Error| Refusal::Unreadable { path: path.to_owned(), source: source.into() };
    let size = file.metadata().map_err(unreadable)?.len();
    let needed = match needed_size(file, size) {
        Ok(Some(needed)) => needed,
        // Not such a file: the linker says so in better words.
        Ok(None) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => u64::MAX,
        Err(error) => return Err(unreadable(error)),
    };
    if size >= needed {
        return Ok(());
    }
    let reason = format!("truncated: it ends after {size} bytes, within a segment to load; install it again");
    Err(Refusal::NotLoadable { path: path.to_owned(), reason })
}

/// Where the last segment ends; `None` for what is not a 64-bit ELF file of this machine's byte order.
fn needed_size(file: &File, size: u64) -> io::Result<Option<u64>> {
    let magic = if cfg!(target_endian = "little") { b"\x7fELF\x02\x01" } else { b"\x7fELF\x02\x02" };
    let mut header = [0; ELF_HEADER];
    let there = usize::try_from(size).map_or(ELF_HEADER, |size| size.min(ELF_HEADER));
    file.read_exact_at(&mut header[..there], 0)?;
    if !header.starts_with(magic) || usize::from(u16_at(&header, HEADER_SIZE_AT)) != PROGRAM_HEADER {
        return Ok(None);
    }
    let mut programs = vec![0; usize::from(u16_at(&header, HEADER_COUNT_AT)) * PROGRAM_HEADER];
    file.read_exact_at(&mut programs, u64_at(&header, HEADERS_AT))?;
    let loaded = programs.chunks_exact(PROGRAM_HEADER).filter(|program| program[..4] == LOAD);
    let end = |program| u64_at(program, OFFSET_AT).saturating_add(u64_at(program, FILE_SIZE_AT));
    Ok(Some(loaded.map(end).max().unwrap_or(0)))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(number)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}
