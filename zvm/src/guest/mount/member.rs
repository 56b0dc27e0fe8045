//! An archive's members, one after the other: ustar, GNU's long names, pax' paths and sizes.

use super::archive::{Archive, Problem};
use tar::{EntryType, Header, PaxExtensions};

/// Bytes of a header, and what members are padded to.
const BLOCK: u64 = 512;
/// The longest path and link target.
const PATH_MAX: u64 = 4096;
/// The most bytes of pax records for one member.
const PAX_MAX: u64 = 64 << 10;
/// What else is taken for a tar archive, by its first bytes.
const OTHERS: [(&[u8], &str); 7] = [
    (b"\x1f\x8b", "compressed by gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"\xfd7zXZ\0", "compressed by xz"),
    (b"BZh", "compressed by bzip2"),
    (b"\x04\x22\x4d\x18", "compressed by lz4"),
    (b"\x1f\x9d", "compressed by compress"),
    (b"PK\x03\x04", "a zip archive"),
];

/// A member.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) path: String,
    pub(super) kind: MemberKind,
    /// In nanoseconds since 1970.
    pub(super) modified: u64,
}

/// What a member is.
#[derive(Debug)]
pub(super) enum MemberKind {
    Directory,
    File {
        offset: u64,
        size: u64,
    },
    /// A symbolic link, with its target.
    Link(String),
    /// One more name of an earlier member.
    Name(String),
    /// Something that has no place in a guest's tree.
    Other(&'static str),
}

/// What the headers before a member say of it.
#[derive(Default)]
struct Before {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

/// The next member; `None` at the end.
pub(super) fn next(archive: &mut Archive<'_>) -> Result<Option<Member>, Problem> {
    let mut before = Before::default();
    loop {
        let at = archive.next;
        let Some(header) = header(archive, at)? else { return Ok(None) };
        let kind = header.entry_type();
        let described = matches!(kind, EntryType::GNULongName | EntryType::GNULongLink)
            || matches!(kind, EntryType::XHeader | EntryType::XGlobalHeader);
        let told = header.entry_size().map_err(|error| bad(at, &error))?;
        let size = if described { told } else { before.size.unwrap_or(told) };
        let offset = at + BLOCK;
        let has_data =
            described || matches!(kind, EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse);
        let size = if has_data || !is_known(kind) { size } else { 0 };
        let end = offset.checked_add(size).filter(|end| *end <= archive.size());
        let Some(end) = end else {
            return Err(bad(
                at,
                &"it ends beyond the archive's end: the archive is truncated, or the size is false",
            ));
        };
        archive.next = end.next_multiple_of(BLOCK);
        match kind {
            EntryType::GNULongName => before.path = Some(long_name(archive, at, offset, size)?),
            EntryType::GNULongLink => before.link = Some(long_name(archive, at, offset, size)?),
            EntryType::XHeader => pax(archive, at, offset, size, &mut before)?,
            EntryType::XGlobalHeader => {}
            kind => return member(&header, kind, before, at, offset, size).map(Some),
        }
    }
}

fn header(archive: &mut Archive<'_>, at: u64) -> Result<Option<Header>, Problem> {
    let bytes = match archive.size() - at.min(archive.size()) {
        // An archive may end without its two empty blocks.
        0 => return Ok(None),
        _ => archive.read(at, BLOCK)?,
    };
    let Ok(block) = <&[u8; BLOCK as usize]>::try_from(bytes) else {
        let found = bytes.len();
        return Err(match at {
            0 => not_tar(bytes).unwrap_or_else(|| {
                Problem::Text(format!(
                    "it is not a tar archive: it has {found} bytes, and a header has {BLOCK}"
                ))
            }),
            _ => bad(at, &"it is cut off"),
        });
    };
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let header = Header::from_byte_slice(block).clone();
    let sum = block[..148].iter().chain(&block[156..]).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
    match header.cksum() {
        Ok(told) if told == sum => Ok(Some(header)),
        _ if at == 0 => Err(not_tar(block).unwrap_or_else(|| bad(at, &"it is not a tar header"))),
        _ => Err(bad(at, &"it is not a tar header")),
    }
}

/// What a file that is no tar archive is, where its first bytes tell.
fn not_tar(start: &[u8]) -> Option<Problem> {
    let (_, what) = OTHERS.iter().find(|(magic, _)| start.starts_with(magic))?;
    Some(Problem::Text(format!(
        "it is {what}: unpack it first, and make a tar archive of it if it is not one"
    )))
}

/// Whether it is known that this kind of member has no data.
fn is_known(kind: EntryType) -> bool {
    kind.is_dir()
        || kind.is_symlink()
        || kind.is_hard_link()
        || kind.is_fifo()
        || kind.is_character_special()
        || kind.is_block_special()
}

fn long_name(archive: &mut Archive<'_>, at: u64, offset: u64, size: u64) -> Result<Vec<u8>, Problem> {
    if size > PATH_MAX + 1 {
        return Err(bad(at, &format_args!("a name of {size} bytes: at most {PATH_MAX}")));
    }
    let name = archive.read(offset, size)?;
    Ok(name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec())
}

fn pax(
    archive: &mut Archive<'_>,
    at: u64,
    offset: u64,
    size: u64,
    before: &mut Before,
) -> Result<(), Problem> {
    if size > PAX_MAX {
        return Err(bad(at, &format_args!("pax records of {size} bytes: at most {PAX_MAX}")));
    }
    let records = archive.read(offset, size)?.to_vec();
    for record in PaxExtensions::new(&records) {
        let record = record.map_err(|error| bad(at, &error))?;
        match record.key_bytes() {
            b"path" => before.path = Some(record.value_bytes().to_vec()),
            b"linkpath" => before.link = Some(record.value_bytes().to_vec()),
            b"size" => {
                // Digits only, where Rust's own parser would take a sign.
                let digits =
                    record.value().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let size = digits.and_then(|size| size.parse().ok());
                before.size = Some(size.ok_or_else(|| bad(at, &"a size that is not a number"))?);
            }
            key if key.starts_with(b"GNU.sparse.") => {
                return Err(bad(at, &"a sparse member, which is not supported"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn member(
    header: &Header,
    kind: EntryType,
    before: Before,
    at: u64,
    offset: u64,
    size: u64,
) -> Result<Member, Problem> {
    let text = |bytes: Vec<u8>| match String::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Err(bad(at, &"a name with a NUL")),
        Ok(text) if text.len() as u64 > PATH_MAX => {
            Err(bad(at, &format_args!("a path over {PATH_MAX} bytes")))
        }
        Ok(text) => Ok(text),
        Err(_) => Err(bad(at, &"a name that is not UTF-8")),
    };
    let path = text(before.path.unwrap_or_else(|| header.path_bytes().into_owned()))?;
    let link = || {
        let link = before.link.clone().or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        text(link.unwrap_or_default())
    };
    let kind = match kind {
        // Before POSIX a directory was told by its slash.
        EntryType::Regular | EntryType::Continuous if path.ends_with('/') => MemberKind::Directory,
        EntryType::Regular | EntryType::Continuous => MemberKind::File { offset, size },
        EntryType::Directory => MemberKind::Directory,
        EntryType::Symlink => MemberKind::Link(link()?),
        EntryType::Link => MemberKind::Name(link()?),
        EntryType::GNUSparse => return Err(bad(at, &"a sparse member, which is not supported")),
        EntryType::Char | EntryType::Block => MemberKind::Other("a device"),
        EntryType::Fifo => MemberKind::Other("a FIFO"),
        _ => MemberKind::Other("of an unknown type"),
    };
    let modified = header.mtime().unwrap_or(0).saturating_mul(1_000_000_000);
    Ok(Member { path, kind, modified })
}

fn bad(at: u64, why: &dyn std::fmt::Display) -> Problem {
    Problem::Text(format!("the header at byte {at}: {why}"))
}
