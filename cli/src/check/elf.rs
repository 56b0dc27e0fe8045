//! What can be read of a library without loading it.

use object::elf::{DT_NEEDED, ET_DYN, FileHeader64, SHT_DYNSYM};
use object::read::elf::{Dyn, FileHeader, Sym};
use object::{Endianness, StringTable};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use vfs_core::{Code, Error, Result};

/// No library is larger.
const SIZE_MAX: u64 = 1 << 30;
/// The prefixes of what hosts export: a provider gets all of it through tables.
const OURS: [&str; 3] = ["zvfs_", "zvm_", "netpipe_"];

/// A shared library's file.
pub struct Elf {
    path: PathBuf,
    size: usize,
    sha256: String,
    /// The libraries that it needs.
    needed: Vec<String>,
    /// The symbols that it expects from others.
    undefined: Vec<String>,
}

impl Elf {
    /// Reads a file.
    ///
    /// # Errors
    /// ENOENT and other system errors; ELIBBAD: not a 64-bit ELF shared library.
    pub fn read(path: &Path) -> Result<Elf> {
        let doing = |error: Error| error.context(format!("read {}", path.display()));
        let bytes = bytes(path).map_err(doing)?;
        let (needed, undefined) = parse(&bytes).map_err(doing)?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Elf { path: path.to_owned(), size: bytes.len(), sha256, needed, undefined })
    }

    /// What is wrong with it as a provider.
    pub fn defects(&self) -> Vec<String> {
        let ours = self.undefined.iter().filter(|name| OURS.iter().any(|prefix| name.starts_with(prefix)));
        ours.map(|name| {
            let path = self.path.display();
            format!(
                "{path}: expects the symbol {name} from its host: call the host through its table instead"
            )
        })
        .collect()
    }
}

impl fmt::Display for Elf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needed = if self.needed.is_empty() { "nothing".to_owned() } else { self.needed.join(", ") };
        writeln!(f, "  file      {}, {} bytes", self.path.display(), self.size)?;
        writeln!(f, "  sha256    {}", self.sha256)?;
        writeln!(f, "  links to  {needed}")?;
        write!(f, "  imports   {} symbols from these", self.undefined.len())
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    // Looked at before it is opened: opening a FIFO waits for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(Error::new(Code::ELIBBAD, "not a regular file"));
    }
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    file.take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(Error::new(Code::EFBIG, format!("more than {SIZE_MAX} bytes: not a library")));
    }
    Ok(bytes)
}

/// The needed libraries and the undefined symbols.
fn parse(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>)> {
    let bad = |error: object::Error| {
        Error::new(Code::ELIBBAD, "not a 64-bit ELF shared library").with_source(error)
    };
    let header = FileHeader64::<Endianness>::parse(bytes).map_err(bad)?;
    let endian = header.endian().map_err(bad)?;
    if header.e_type(endian) != ET_DYN {
        return Err(Error::new(Code::ELIBBAD, "an ELF file, but not a shared library"));
    }
    let sections = header.sections(endian, bytes).map_err(bad)?;
    let mut needed = Vec::new();
    if let Some((entries, strings)) = sections.dynamic(endian, bytes).map_err(bad)? {
        let strings = sections.strings(endian, bytes, strings).map_err(bad)?;
        for entry in entries.iter().filter(|entry| entry.d_tag(endian) == DT_NEEDED) {
            needed.extend(u32::try_from(entry.d_val(endian)).ok().and_then(|at| string(strings, at)));
        }
    }
    let symbols = sections.symbols(endian, bytes, SHT_DYNSYM).map_err(bad)?;
    let undefined = symbols
        .iter()
        .filter(|symbol| symbol.is_undefined(endian) && symbol.st_name(endian) != 0)
        .filter_map(|symbol| string(symbols.strings(), symbol.st_name(endian)))
        .collect();
    Ok((needed, undefined))
}

fn string(strings: StringTable<'_>, at: u32) -> Option<String> {
    let name = strings.get(at).ok()?;
    Some(crate::text::printable(&String::from_utf8_lossy(name)))
}
