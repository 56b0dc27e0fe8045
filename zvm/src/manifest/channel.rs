//! The value of a `Channel` line: `uri[;uri...], alias, type, [etag,] gets, get_size, puts, put_size`.

use super::lines::{Line, trim};
use super::{Version, Warning, defect, failure, number};
use crate::exit::{ExitCode, Failure};
use std::sync::Arc;
use vfs_core::{Descriptor, Shown};

/// The most sources that one channel may have: ZeroVM's limit.
pub const SOURCES_MAX: usize = 16;
/// The most channels of a session: of a guest's 1,024 descriptors the root takes one, and three are left for a second one on
/// a channel.
pub const CHANNELS_MAX: usize = 1020;
/// The channels that every manifest has: handles 0 to 2.
pub const STANDARD: [&str; 3] = ["/dev/stdin", "/dev/stdout", "/dev/stderr"];

/// A channel as its manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelSpec {
    /// The manifest's line, from 1, for messages; 0: nobody has seen the manifest, and none names the line.
    pub line: usize,
    /// The descriptors behind it, 1 to [`SOURCES_MAX`].
    pub sources: Vec<String>,
    /// The name that the guest knows it by: an absolute path, unique in the manifest.
    pub alias: Arc<str>,
    /// Whether reads have positions: types 1 and 3.
    pub random_get: bool,
    /// Whether writes have positions: types 2 and 3.
    pub random_put: bool,
    /// The quotas.
    pub limits: Limits,
    /// Whether a read gives what there is, and may be waited for: the key `Interactive`.
    pub interactive: bool,
    /// Whether it is written in place, so that a session that fails leaves what it wrote: the key `Partial`.
    pub keep_partial: bool,
}

impl ChannelSpec {
    /// The alias for messages.
    pub(crate) fn shown_alias(&self) -> Shown<'_> {
        Shown(&self.alias)
    }
}

/// A channel's quotas: how many calls and how many bytes, 0 to `i64::MAX` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Reads.
    pub gets: u64,
    /// Bytes read.
    pub get_size: u64,
    /// Writes.
    pub puts: u64,
    /// Bytes written, and where random writes have to end.
    pub put_size: u64,
}

impl Limits {
    /// Whether anything may be read.
    pub fn readable(&self) -> bool {
        self.gets > 0 && self.get_size > 0
    }

    /// Whether anything may be written.
    pub fn writable(&self) -> bool {
        self.puts > 0 && self.put_size > 0
    }
}

/// Parses a channel's line.
pub(super) fn parse(
    line: &Line<'_>,
    version: Version,
    warnings: &mut Vec<Warning>,
) -> Result<ChannelSpec, Failure> {
    let (sources, rest) = sources(line)?;
    let fields: Vec<&str> = rest.split(',').map(trim).collect();
    let (alias, kind, etag, limits) = match (version, fields.as_slice()) {
        (_, [alias, kind, etag, limits @ ..]) if limits.len() == 4 => (*alias, kind, Some(etag), limits),
        (Version::V20140509, [alias, kind, limits @ ..]) if limits.len() == 4 => (*alias, kind, None, limits),
        (_, fields) => {
            let expected = match version {
                Version::V20130611 => "8",
                Version::V20140509 => "7 or 8",
            };
            let found = fields.len() + 1;
            let text =
                format!("a channel has {expected} fields, this one {found} (quote a source with a comma)");
            return Err(defect(line.number, text));
        }
    };
    check_alias(alias, line.number, warnings)?;
    let of_channel = |text: String| defect(line.number, format_args!("channel {}: {text}", Shown(alias)));
    if let Some(etag) = etag
        && number::parse(etag).map_err(of_channel)? != 0
    {
        let text = format!("channel {}: etags are not computed", Shown(alias));
        warnings.push(Warning { line: line.number, text });
    }
    let kind = match number::parse(kind).map_err(of_channel)? {
        kind @ 0..=3 => kind,
        kind => return Err(of_channel(format!("unknown type {kind}: 0 to 3"))),
    };
    let limits = limits_of(limits).map_err(of_channel)?;
    let spec = ChannelSpec {
        line: line.number,
        sources,
        alias: alias.into(),
        random_get: kind & 1 != 0,
        random_put: kind & 2 != 0,
        limits,
        interactive: false,
        keep_partial: false,
    };
    check_combination(&spec)?;
    Ok(spec)
}

/// Splits the sources off, and checks each; gives the fields after them.
fn sources<'a>(line: &Line<'a>) -> Result<(Vec<String>, &'a str), Failure> {
    let mut sources = Vec::new();
    let mut rest = line.value;
    loop {
        let (source, end) = source(rest).map_err(|text| defect(line.number, text))?;
        Descriptor::parse(source).map_err(|error| defect(line.number, error))?;
        sources.push(source.to_owned());
        if sources.len() > SOURCES_MAX {
            return Err(defect(line.number, format_args!("a channel has more than {SOURCES_MAX} sources")));
        }
        match end.split_at_checked(1) {
            Some((";", next)) => rest = next,
            Some((_, fields)) => return Ok((sources, fields)),
            None => {
                return Err(defect(
                    line.number,
                    "a channel with only a source: add its alias, type and quotas",
                ));
            }
        }
    }
}

/// Splits one source off: up to a `;` or `,`, or in double quotes. The rest starts with that separator, or is empty.
pub(super) fn source(text: &str) -> Result<(&str, &str), &'static str> {
    let text = trim(text);
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return Ok((trim(&text[..end]), &text[end..]));
    };
    let (source, rest) = quoted.split_once('"').ok_or("a quoted source has no closing quote")?;
    let rest = trim(rest);
    match rest.is_empty() || rest.starts_with([';', ',']) {
        true => Ok((source, rest)),
        false => Err("after a quoted source: expected `;` or `,`"),
    }
}

fn check_alias(alias: &str, line: usize, warnings: &mut Vec<Warning>) -> Result<(), Failure> {
    let Some(path) = alias.strip_prefix('/').filter(|path| !path.is_empty()) else {
        // Not repeated: without its quotes, half of a source may stand here.
        return Err(defect(line, "the alias is not an absolute path (quote a source with a comma)"));
    };
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        let text =
            format!("no guest can open {} by its path: it has an empty part, `.` or `..`", Shown(alias));
        warnings.push(Warning { line, text });
    }
    Ok(())
}

fn limits_of(fields: &[&str]) -> Result<Limits, String> {
    let [gets, get_size, puts, put_size] = fields else {
        return Err(format!("{} quotas: expected 4", fields.len()));
    };
    let of = |name: &'static str| move |error: String| format!("{name}: {error}");
    Ok(Limits {
        gets: number::parse_count(gets).map_err(of("gets"))?,
        get_size: number::parse_size_count(get_size).map_err(of("get_size"))?,
        puts: number::parse_count(puts).map_err(of("puts"))?,
        put_size: number::parse_size_count(put_size).map_err(of("put_size"))?,
    })
}

/// Checks what type, quotas and sources mean together.
fn check_combination(spec: &ChannelSpec) -> Result<(), Failure> {
    let (read, write) = (spec.limits.readable(), spec.limits.writable());
    let alias = spec.shown_alias();
    if !read && !write {
        let text = format!("channel {alias}: its quotas allow neither reading nor writing");
        return Err(failure(ExitCode::NilChannel, spec.line, text));
    }
    if read && write && !spec.random_get {
        let text = format!("channel {alias}: read and written, it needs type 1 or 3");
        return Err(defect(spec.line, text));
    }
    if spec.sources.len() > 1 && read && (write || spec.random_get) {
        let text =
            format!("channel {alias}: several sources are read one after the other, so only by type 0 or 2");
        return Err(defect(spec.line, text));
    }
    Ok(())
}
