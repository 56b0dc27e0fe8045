//! ZeroVM's `/dev/nvram`: what a program is told at its start, as a text of sections.

use super::TIME_MAX;
use super::mounts::{MAX, is_absolute};
use std::fmt;
use vfs_core::Shown;

/// Sections of ZeroVM's that mean nothing here.
const IGNORED: [&str; 3] = ["debug", "mapping", "precache"];
/// The most bytes that such a text may have.
pub const NVRAM_MAX: usize = 64 << 10;

/// What a text says. All of it is optional; a manifest's own keys come before it.
///
/// ```
/// let nvram = zvm::Nvram::parse(b"[args]\nargs = prog -v a\\x20b\n[env]\nname=LANG, value=C\n[time]\nseconds=1400000000\n")?;
/// assert_eq!(nvram.args, Some(vec!["prog".into(), "-v".into(), "a b".into()]));
/// assert_eq!((nvram.env[0].1.as_str(), nvram.seconds), ("C", Some(1_400_000_000)));
/// # Ok::<(), zvm::NvramError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Nvram {
    /// `[args] args = ...`: all arguments, the program's name first.
    pub args: Option<Vec<String>>,
    /// `[env] name=..., value=...`
    pub env: Vec<(String, String)>,
    /// `[fstab] channel=..., mountpoint=..., access=ro|rw`
    pub fstab: Vec<Fstab>,
    /// `[time] seconds=...`: the time of day at the start, since 1970.
    pub seconds: Option<u64>,
}

/// A tree to mount.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fstab {
    /// The alias of the channel that has it as a tar archive.
    pub channel: String,
    /// Where, as an absolute path.
    pub mountpoint: String,
    /// Whether it becomes a part of the scratch space.
    pub writable: bool,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text}")]
pub struct NvramError {
    /// The line, from 1.
    pub line: usize,
    /// What and why.
    pub text: String,
}

impl Nvram {
    /// Parses a text: `[section]` lines, each followed by lines of `key=value` pairs with commas between them. `\xHH` in a
    /// value stands for one byte, so that it may hold a comma or a space. Lines that are empty or begin with `#` are
    /// skipped, and so are sections that mean nothing here (`debug`, `mapping`, `precache`).
    ///
    /// # Errors
    /// Too long, not UTF-8, a NUL; an unknown section; a line that is no pair; a pair that its section doesn't know, or lacks;
    /// arguments, a time or a variable that is given twice; a time that does not fit into nanoseconds.
    pub fn parse(text: &[u8]) -> Result<Nvram, NvramError> {
        let whole = |text: &str| NvramError { line: 1, text: text.to_owned() };
        if text.len() > NVRAM_MAX {
            return Err(whole("the text is too long"));
        }
        let text = std::str::from_utf8(text).map_err(|_| whole("not UTF-8 text"))?;
        let (mut nvram, mut section) = (Nvram::default(), "");
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                Some(name) => {
                    section = name.trim();
                    known(section).map_err(|text| NvramError { line: index + 1, text })?;
                }
                None => nvram.line(section, line).map_err(|text| NvramError { line: index + 1, text })?,
            }
        }
        Ok(nvram)
    }

    fn line(&mut self, section: &str, line: &str) -> Result<(), String> {
        match section {
            "args" => {
                let [args] = pairs(line, ["args"], &[])?;
                let words = args.ok_or("`args` is missing")?.split_ascii_whitespace().map(unescape);
                once(&mut self.args, words.collect::<Result<_, _>>()?, "args")?;
            }
            "env" => {
                let [name, value] = pairs(line, ["name", "value"], &[])?;
                let name = unescape(name.filter(|name| !name.is_empty()).ok_or("`name` is missing")?)?;
                if name.contains('=') {
                    return Err(format!("a name with `=`: {}", Shown(&name)));
                }
                if self.env.iter().any(|(known, _)| *known == name) {
                    return Err(format!("{} is given twice", Shown(&name)));
                }
                self.env.push((name, unescape(value.ok_or("`value` is missing")?)?));
            }
            "fstab" => {
                let [channel, mountpoint, access] =
                    pairs(line, ["channel", "mountpoint", "access"], &["removable", "warmup"])?;
                let mountpoint = mountpoint.ok_or("`mountpoint` is missing")?.to_owned();
                if !is_absolute(&mountpoint) {
                    let text = "is not an absolute path without `.` and `..`";
                    return Err(format!("mountpoint {} {text}", Shown(&mountpoint)));
                }
                if self.fstab.len() == MAX {
                    return Err(format!("more than {MAX} lines of fstab"));
                }
                let writable = match access {
                    None | Some("ro") => false,
                    Some("rw") => true,
                    Some(other) => return Err(format!("access {}: ro or rw", Shown(other))),
                };
                let channel = channel.ok_or("`channel` is missing")?.to_owned();
                self.fstab.push(Fstab { channel, mountpoint, writable });
            }
            "time" => {
                let [seconds] = pairs(line, ["seconds"], &[])?;
                let seconds = seconds.ok_or("`seconds` is missing")?;
                once(&mut self.seconds, time(seconds)?, "seconds")?;
            }
            "" => return Err("a line before the first section, such as `[args]`".into()),
            _ => {}
        }
        Ok(())
    }
}

/// Whether a section is one of those that there are.
fn known(section: &str) -> Result<(), String> {
    match section {
        "args" | "env" | "fstab" | "time" => Ok(()),
        section if IGNORED.contains(&section) => Ok(()),
        other => Err(format!("unknown section `{}`: args, env, fstab or time", Shown(other))),
    }
}

/// Keeps what a text may say once.
fn once<T>(place: &mut Option<T>, value: T, key: &str) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("`{key}` is given twice")),
    }
}

/// A time of day, in seconds: digits only, where Rust's own parser would take a sign.
fn time(text: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("seconds {}: not a number", Shown(text)));
    }
    match text.parse() {
        Ok(seconds) if seconds <= TIME_MAX => Ok(seconds),
        _ => Err(format!("seconds {} is out of range: 0 to {TIME_MAX}", Shown(text))),
    }
}

/// The values of a line's keys; `ignored` ones may be there too.
fn pairs<'a, const N: usize>(
    line: &'a str,
    keys: [&str; N],
    ignored: &[&str],
) -> Result<[Option<&'a str>; N], String> {
    let mut values = [None; N];
    for pair in line.split(',') {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| format!("`{}` is not key=value", Shown(pair.trim())))?;
        let key = key.trim();
        match keys.iter().position(|known| *known == key) {
            Some(at) if values[at].is_none() => values[at] = Some(value.trim()),
            Some(_) => return Err(format!("`{key}` is given twice")),
            None if ignored.contains(&key) => {}
            None => return Err(format!("unknown key `{}`", Shown(key))),
        }
    }
    Ok(values)
}

/// `\xHH` is a byte.
fn unescape(text: &str) -> Result<String, String> {
    let failed = |why: &str| format!("{}: {why}", Shown(text));
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.strip_prefix(b"x").filter(|_| *first == b'\\');
        rest = match escaped {
            None => {
                bytes.push(*first);
                after
            }
            Some(digits) => {
                let (byte, after) = hex(digits).ok_or_else(|| failed("two hexadecimal digits after \\x"))?;
                bytes.push(byte);
                after
            }
        };
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        Ok(_) => Err(failed("a NUL")),
        Err(_) => Err(failed("not UTF-8")),
    }
}

/// The byte that two hexadecimal digits stand for, and what is behind them.
fn hex(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, after) = text.split_at_checked(2)?;
    let value = |digit: u8| char::from(digit).to_digit(16);
    let byte = u8::try_from(value(digits[0])? * 16 + value(digits[1])?).ok()?;
    Some((byte, after))
}

impl fmt::Display for Fstab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", Shown(&self.channel), Shown(&self.mountpoint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zerovms_own_text_is_understood() {
        let text = b"[fstab]\nchannel=/dev/python.tar, mountpoint=/, access=ro, removable=no\n[env]\nname=Node, value=1
name=PATH, value=/bin\\x2c/usr\n[debug]\nverbosity=0\n[args]\nargs=python.nexe a.py\n[mapping]\nchannel=/dev/stdin, mode=char\n[time]\nseconds=7";
        let nvram = Nvram::parse(text).unwrap();
        assert_eq!(nvram.args.unwrap(), ["python.nexe", "a.py"]);
        assert_eq!(nvram.env, [("Node".into(), "1".into()), ("PATH".into(), "/bin,/usr".into())]);
        assert_eq!(nvram.fstab[0].to_string(), "/dev/python.tar at /");
        assert_eq!((nvram.fstab[0].writable, nvram.seconds), (false, Some(7)));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, words) in [
            ("[args]\nprog", "line 2: `prog` is not key=value"),
            ("[args]\nargs=a, args=b", "given twice"),
            ("[env]\nname=A", "`value` is missing"),
            ("[env]\nname=, value=1", "`name` is missing"),
            ("[env]\nnam=A, value=1", "unknown key `nam`"),
            ("[env]\nname=A, value=\\x4", "two hexadecimal digits"),
            ("[env]\nname=A, value=\\x00", "a NUL"),
            ("[fstab]\nchannel=/a, mountpoint=b", "not an absolute path"),
            ("[fstab]\nchannel=/a, mountpoint=/../b", "without `.` and `..`"),
            (
                &format!("[fstab]\n{}", "channel=/a, mountpoint=/b\n".repeat(65)),
                "line 66: more than 64 lines",
            ),
            ("[fstab]\nchannel=/a, mountpoint=/b, access=wo", "ro or rw"),
            ("[time]\nseconds=soon", "not a number"),
            // A case report: Rust's number parser takes a sign, a second A came beside the first, the clock overflowed.
            ("[env]\nname=A, value=\\x+1", "line 2: \\x+1: two hexadecimal digits"),
            ("[env]\nname=A, value=1\n\nname=A, value=2", "line 4: A is given twice"),
            ("[args]\nargs=a\nargs=b", "line 3: `args` is given twice"),
            ("[time]\nseconds=1\n[time]\nseconds=1", "line 4: `seconds` is given twice"),
            ("[time]\nseconds=+7", "line 2: seconds +7: not a number"),
            ("[time]\nseconds=18446744074", "line 2: seconds 18446744074 is out of range: 0 to 18446744073"),
            ("[time]\nseconds=99999999999999999999", "out of range"),
            ("[evn]\nname=A, value=1", "line 1: unknown section `evn`"),
            ("name=A, value=1", "line 1: a line before the first section"),
        ] {
            let error = Nvram::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words), "{text:?}: {error}");
        }
        assert!(Nvram::parse(&[0xff]).is_err() && Nvram::parse(&vec![b'#'; NVRAM_MAX + 1]).is_err());
        assert_eq!(Nvram::parse(b""), Ok(Nvram::default()));
        assert_eq!(Nvram::parse(b"[time]\nseconds=18446744073").unwrap().seconds, Some(18_446_744_073));
    }
}
