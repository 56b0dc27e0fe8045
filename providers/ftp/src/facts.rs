//! What a server says of its files: one, or a folder's.

use chrono::{DateTime, NaiveDateTime, Utc};
use std::time::SystemTime;
use suppaftp::list::{File, ListParser};
use vfs_core::{Kind, Stat};

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// A file or a folder, if that was said.
    pub kind: Kind,
    /// Bytes, if the server told them.
    pub size: Option<u64>,
    /// When it was last changed, if the server told it.
    pub modified: Option<SystemTime>,
}

/// A line of a listing.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Of the folder itself or the one above, or of none.
    Nothing,
    /// A name, as bytes, and what is known of it.
    Entry(Vec<u8>, Facts),
    /// In no form that is known.
    Unknown,
}

impl Facts {
    /// Of a folder.
    pub const FOLDER: Facts = Facts { kind: Kind::Directory, size: None, modified: None };

    /// The same for a caller.
    pub fn stat(&self) -> Stat {
        let stat = Stat::of_kind(self.kind);
        let stat = match self.size.filter(|_| self.kind != Kind::Directory) {
            Some(size) => stat.size(size),
            None => stat,
        };
        match self.modified {
            Some(time) => stat.modified(time),
            None => stat,
        }
    }

    /// Reads an entry of MLST or MLSD (RFC 3659, section 7): `fact=value;...; name`. `None`: it is none.
    pub fn of_entry(entry: &str) -> Option<(Facts, &str)> {
        let (facts, name) = entry.split_once(' ')?;
        let value = |wanted: &str| {
            facts
                .split(';')
                .filter_map(|fact| fact.split_once('='))
                .find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then_some(value))
        };
        let kind = match value("type").unwrap_or_default().to_ascii_lowercase().as_str() {
            "file" => Kind::Regular,
            "dir" | "cdir" | "pdir" => Kind::Directory,
            _ => Kind::Unknown, // a link or a device
        };
        let modified = value("modify").and_then(time);
        Some((Facts { kind, size: value("size").and_then(|size| size.parse().ok()), modified }, name))
    }
}

impl Line {
    /// Reads a line of MLSD.
    pub fn of_mlsd(line: &[u8]) -> Line {
        let text = characters(line);
        let facts = text.split(' ').next().unwrap_or_default().to_ascii_lowercase();
        if facts.contains("type=cdir") || facts.contains("type=pdir") {
            return Line::Nothing;
        }
        match Facts::of_entry(&text) {
            Some((facts, name)) => Line::entry(name, facts),
            None => Line::Unknown,
        }
    }

    /// Reads a line of LIST, as `ls -l` or MS-DOS write it. Its times are of the server's own zone, so they are left out.
    pub fn of_list(line: &[u8]) -> Line {
        let text = characters(line);
        if text.starts_with("total ") {
            return Line::Nothing;
        }
        let known = |file: File, is_special: bool| {
            let kind = match () {
                () if file.is_directory() => Kind::Directory,
                () if file.is_file() && !is_special => Kind::Regular,
                () => Kind::Unknown,
            };
            let size = (kind == Kind::Regular).then_some(file.size() as u64);
            Line::entry(file.name(), Facts { kind, size, modified: None })
        };
        // To the library pipes and sockets are no entries.
        let special = text.strip_prefix(['p', 's']).map(|rest| format!("-{rest}"));
        let parsed = ListParser::parse_posix(special.as_deref().unwrap_or(&text))
            .or_else(|_| ListParser::parse_dos(&text));
        parsed.map_or(Line::Unknown, |file| known(file, special.is_some()))
    }

    fn entry(name: &str, facts: Facts) -> Line {
        // A name with a slash is the host's to leave out and to count.
        match name {
            "" | "." | ".." => Line::Nothing,
            _ => Line::Entry(bytes(name), facts),
        }
    }
}

/// Reads a time of MLST, MLSD or MDTM (RFC 3659, section 2.3).
pub fn time(text: &str) -> Option<SystemTime> {
    let time = NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M%S%.f").ok()?;
    Some(time.and_utc().into())
}

/// Writes a time as MFMT takes it, in whole seconds.
pub fn written(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).format("%Y%m%d%H%M%S").to_string()
}

/// A character for each byte, so that no name is lost that is not UTF-8.
pub fn characters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The bytes again; a character that is none is left out.
fn bytes(characters: &str) -> Vec<u8> {
    characters.chars().filter_map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn known(kind: Kind, size: Option<u64>, seconds: Option<u64>) -> Facts {
        let modified = seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        Facts { kind, size, modified }
    }

    #[test]
    fn a_time_is_written_as_it_is_read_in_whole_seconds() {
        for (seconds, text) in [(0, "19700101000000"), (1_000_000_000, "20010909014640")] {
            let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(written(whole + Duration::from_millis(999)), text);
            assert_eq!(time(text), Some(whole));
        }
        assert_eq!(written(SystemTime::UNIX_EPOCH - Duration::from_millis(1)), "19691231235959");
        // Found: all times before 1970 were read as the first second of that.
        for (before, text) in [(1, "19691231235959"), (631_152_000, "19500101000000")] {
            let time = SystemTime::UNIX_EPOCH - Duration::from_secs(before);
            assert_eq!((super::time(text), written(time)), (Some(time), text.to_owned()));
        }
        assert_eq!(time("20010909014640.5").map(written).as_deref(), Some("20010909014640"));
        for wrong in ["", "oops", "200109090146400", "20011309014640", "20010909014640 "] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn entries_of_mlsd() {
        let entry = |text: &str| Line::of_mlsd(text.as_bytes());
        let regular = known(Kind::Regular, Some(12), Some(86_400));
        assert_eq!(
            entry("type=file;size=12;modify=19700102000000; a b; c"),
            Line::Entry(b"a b; c".into(), regular.clone())
        );
        assert_eq!(
            entry("Size=12;Modify=19700102000000.000;Type=file;  x"),
            Line::Entry(b" x".into(), regular)
        );
        assert_eq!(entry("type=dir;perm=el; d"), Line::Entry(b"d".into(), Facts::FOLDER));
        assert_eq!(
            entry("type=OS.unix=slink:/x; l"),
            Line::Entry(b"l".into(), known(Kind::Unknown, None, None))
        );
        assert_eq!(entry(" name"), Line::Entry(b"name".into(), known(Kind::Unknown, None, None)));
        assert_eq!(
            entry("type=dir; ../../etc/passwd"),
            Line::Entry(b"../../etc/passwd".into(), Facts::FOLDER)
        );
        assert_eq!(entry("type=cdir; /srv"), Line::Nothing);
        assert_eq!(entry("type=pdir; .."), Line::Nothing);
        assert_eq!(
            entry("type=file;size=99999999999999999999999;modify=oops; x"),
            Line::Entry(b"x".into(), known(Kind::Regular, None, None))
        );
        assert_eq!(entry("nothing"), Line::Unknown);
        assert_eq!(
            Line::of_mlsd(b"type=file; \xff\xc3\xa4"),
            Line::Entry(vec![0xff, 0xc3, 0xa4], known(Kind::Regular, None, None))
        );
    }

    #[test]
    fn entries_of_list() {
        let entry = |text: &str| Line::of_list(text.as_bytes());
        assert_eq!(
            entry("-rw-r--r--    1 0        0            1234 Nov 26 23:50 a b"),
            Line::Entry(b"a b".into(), known(Kind::Regular, Some(1234), None))
        );
        assert_eq!(
            entry("drwxr-xr-x 2 ftp ftp 4096 Jan  1  2020 d"),
            Line::Entry(b"d".into(), Facts::FOLDER)
        );
        let unknown = known(Kind::Unknown, None, None);
        assert_eq!(
            entry("lrwxrwxrwx 1 ftp ftp 4 Jan  1  2020 l -> file"),
            Line::Entry(b"l".into(), unknown.clone())
        );
        assert_eq!(entry("prw-r--r-- 1 ftp ftp 0 Jan  1  2020 pipe"), Line::Entry(b"pipe".into(), unknown));
        assert_eq!(
            entry("04-08-14  03:09PM                  403 readme.txt"),
            Line::Entry(b"readme.txt".into(), known(Kind::Regular, Some(403), None))
        );
        assert_eq!(entry("total 12"), Line::Nothing);
        assert_eq!(entry("drwxr-xr-x 2 ftp ftp 4096 Jan  1  2020 ."), Line::Nothing);
        assert_eq!(entry("sorry, no listing today"), Line::Unknown);
    }

    #[test]
    fn a_folder_has_no_size() {
        let stat = known(Kind::Directory, Some(4096), Some(5)).stat();
        assert_eq!((stat.kind, stat.size), (Kind::Directory, None));
        assert_eq!(known(Kind::Regular, Some(7), None).stat().size, Some(7));
    }
}
