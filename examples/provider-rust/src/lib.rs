//! A provider in Rust: `data:,hello` and `data:text/plain;base64,aGVsbG8=` (RFC 2397) read as what stands in them.

use data_url::DataUrl;
use std::io::{Read, Seek, SeekFrom};
use vfs_core::{
    Capabilities, Code, Error, File, Host, Info, Instance, Kind, Provider, Request, Result, Setting,
    SettingKind, Settings, Stat, export_provider,
};

struct Data;

impl Provider for Data {
    fn info(&self) -> Info {
        let help = "bytes that one descriptor may hold";
        Info::new("data", env!("CARGO_PKG_VERSION"), "what stands in the descriptor itself")
            .setting(Setting::new("limit", SettingKind::Size, help).default_value("32k"))
    }

    // Called once for each configuration. The host has checked the settings against the schema above.
    fn start(&self, _: Host, settings: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Running { limit: settings.size("limit").unwrap_or(u64::MAX) }))
    }
}

struct Running {
    limit: u64,
}

impl Instance for Running {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        // `shown` is the descriptor for messages: secrets hidden.
        let invalid = |why: &str| Error::new(Code::EINVAL, format!("open {}: {why}", request.shown()));
        let url = format!("data:{}", request.rest());
        let url = DataUrl::process(&url).map_err(|_| invalid("not a data URL: write data:,text"))?;
        let (bytes, _) = url.decode_to_vec().map_err(|_| invalid("not base64"))?;
        if bytes.len() as u64 > self.limit {
            return Err(Error::new(
                Code::EFBIG,
                format!("open {}: over the limit of {}", request.shown(), self.limit),
            ));
        }
        Ok(Box::new(Bytes(std::io::Cursor::new(bytes))))
    }
}

/// One open file. What it does not implement answers as a file without that capability.
struct Bytes(std::io::Cursor<Vec<u8>>);

impl File for Bytes {
    fn capabilities(&self) -> Capabilities {
        Capabilities::READABLE
            | Capabilities::SEEKABLE
            | Capabilities::POSITIONAL_READ
            | Capabilities::STAT
            | Capabilities::CANCEL // no call ever waits
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        Ok(self.0.read(buf)?)
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let before = self.0.position();
        match self.0.seek(to) {
            // The ABI's positions are signed.
            Ok(at) if i64::try_from(at).is_ok() => Ok(at),
            _ => {
                self.0.set_position(before);
                Err(Error::new(Code::EINVAL, "seek: out of range"))
            }
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let bytes = self.0.get_ref();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        Ok((&bytes[start..]).read(buf)?)
    }

    fn stat(&mut self) -> Result<Stat> {
        Ok(Stat::of_kind(Kind::Regular).size(self.0.get_ref().len() as u64))
    }
}

export_provider!(Data);
