//! `zvfs cat`: descriptors to standard output.

use crate::descriptors::DescriptorOptions;
use crate::doing;
use crate::exit::Failure;
use crate::name::{descriptor_or_stream, stream};
use crate::options::Options;
use crate::stdout;
use crate::watch::Watch;
use clap::Args;
use std::io::SeekFrom;
use vfs_core::{Capabilities, Code, Error, OpenFile, OpenFlags, Result, copy};

/// What skips to a range's start where there are no positions.
const SKIP_BUFFER: usize = 64 * 1024;

/// Write descriptors to standard output, one after the other
#[derive(Args, Debug)]
pub struct Cat {
    /// Only these bytes of each, from 0, both ends included, as in HTTP: 0-99 is the first hundred, 100- the rest
    #[arg(long, value_name = "START-[END]", value_parser = range)]
    range: Option<Range>,
    #[command(flatten)]
    open: DescriptorOptions,
    /// What to read: scheme:rest, or a path; `-` is standard input (file:/dev/stdin)
    #[arg(required = true, value_name = "DESCRIPTOR", value_parser = descriptor_or_stream())]
    descriptors: Vec<String>,
}

/// A range of bytes; without `length` to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u64,
    length: Option<u64>,
}

impl Cat {
    /// Goes on after a failure, as cat(1) does: the exit code and a line for each say what is missing.
    pub fn execute(&self, options: &Options) -> Result<(), Failure> {
        let mut stdout = None;
        let named = self.descriptors.iter().map(|descriptor| stream(descriptor, "file:/dev/stdin"));
        let flags = OpenFlags::READ | OpenFlags::SEQUENTIAL;
        self.open.each(options, flags, named, move |registry, watch, descriptor, how| {
            // The source first: what is wrong with it is what the user asked about.
            let mut source = registry.open(descriptor, how).map_err(|error| watch.failure(error))?;
            let stdout = match &mut stdout {
                Some(stdout) => stdout,
                None => stdout.insert(stdout::open(registry, watch)?),
            };
            self.one(&mut source, stdout, watch)?;
            Ok(source)
        })
    }

    fn one(&self, source: &mut OpenFile, stdout: &mut OpenFile, watch: &Watch) -> Result<(), Failure> {
        let range = self.range.unwrap_or(Range { start: 0, length: None });
        let copied = skip(source, range.start)
            .and_then(|()| copy(source, stdout, range.length, &mut |_| {}))
            .map_err(|error| match error.code() {
                // A source that is read cannot lose its reader: it is standard output that has.
                Code::EPIPE => Failure::output(error),
                _ => watch.failure(doing::with(error, "cat", source.shown())),
            });
        copied.map(|_| ())
    }
}

/// Moves a fresh file's position; to its end if that comes first.
fn skip(source: &mut OpenFile, start: u64) -> Result<()> {
    if source.capabilities().contains(Capabilities::SEEKABLE) {
        return match i64::try_from(start) {
            Ok(_) => source.seek(SeekFrom::Start(start)).map(|_| ()),
            Err(_) => Err(Error::new(Code::EOVERFLOW, format!("--range: no file has a byte {start}"))),
        };
    }
    let context = source.control().context();
    let (mut left, mut buf) = (start, vec![0; SKIP_BUFFER]);
    while left > 0 {
        context.status()?;
        let wanted = usize::try_from(left).unwrap_or(SKIP_BUFFER).min(SKIP_BUFFER);
        match source.read(&mut buf[..wanted])? {
            0 => return Ok(()),
            count => left -= count as u64,
        }
    }
    Ok(())
}

fn range(text: &str) -> Result<Range, String> {
    let number = |text: &str| match text.parse::<u64>() {
        Ok(number) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
        _ => Err("write START-END or START-, in bytes from 0".to_owned()),
    };
    let (start, end) = text.split_once('-').ok_or("write START-END or START-, in bytes from 0")?;
    let start = number(start)?;
    let length = match end {
        "" => None,
        end => {
            let end = number(end)?;
            let less = end.checked_sub(start).ok_or("the range ends before it starts")?;
            less.checked_add(1) // else it is every byte there can be
        }
    };
    Ok(Range { start, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_includes_both_ends() {
        assert_eq!(range("0-0"), Ok(Range { start: 0, length: Some(1) }));
        assert_eq!(range("10-19"), Ok(Range { start: 10, length: Some(10) }));
        assert_eq!(range("10-"), Ok(Range { start: 10, length: None }));
        assert_eq!(range(&format!("0-{}", u64::MAX)), Ok(Range { start: 0, length: None }));
    }

    #[test]
    fn nonsense_is_no_range() {
        for text in [
            "",
            "-",
            "-5",
            "5",
            "5-4",
            "a-b",
            "1-2-3",
            "+1-2",
            "1-+2",
            " 1-2",
            "0x1-2",
            "99999999999999999999-",
        ] {
            assert!(range(text).is_err(), "{text}");
        }
    }
}
