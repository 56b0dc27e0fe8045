//! Where a provider runs, and what it may do there: `place`, `may` and `may-lack` of its section.

use super::{Key, Reader, Value};
use crate::descriptor::is_scheme;
use crate::error::{Error, Result};
use crate::host::walls::{Wall, Walls};
use crate::settings::parse_size;
use crate::suggest::nearest;
use std::ops::Range;
use std::str::FromStr;
use toml::de::DeValue;

/// What a section says of it, in whatever order.
#[derive(Default)]
pub(super) struct Placing {
    in_process: bool,
    walls: Walls,
    /// Where something stands that only a process has.
    of_a_process: Option<(&'static str, Range<usize>)>,
}

impl FromStr for Walls {
    type Err = Error;

    /// Reads what an operator writes between the braces of `may`: `dns = true, read = ["/etc/ssl"]`.
    fn from_str(may: &str) -> Result<Walls> {
        let document = super::parse(&format!("provider.x = {{ place = \"process\", may = {{ {may} }} }}"))?;
        let section = document.providers.into_values().next();
        Ok(section.and_then(|section| section.walls).unwrap_or_default())
    }
}

impl Reader<'_> {
    pub(super) fn place(&self, value: Value<'_, '_>, placing: &mut Placing) -> Result<()> {
        placing.in_process = match value.get_ref().as_str() {
            Some("host") => false,
            Some("process") => true,
            _ => return Err(self.wrong(value.span(), "`place` is \"host\" or \"process\"")),
        };
        Ok(())
    }

    pub(super) fn may(&self, key: Key<'_, '_>, value: Value<'_, '_>, placing: &mut Placing) -> Result<()> {
        placing.of_a_process = Some(("may", key.span()));
        let walls = &mut placing.walls;
        let what = "`may` is a table: write may = { tcp-connect = true, read = [\"/etc/ssl\"] }";
        for (key, value) in self.table(value, what)? {
            match key.get_ref().as_ref() {
                "tcp-connect" => walls.tcp_connect = self.boolean("tcp-connect", value)?,
                "tcp-listen" => walls.tcp_listen = self.boolean("tcp-listen", value)?,
                "udp" => walls.udp = self.boolean("udp", value)?,
                "dns" => walls.dns = self.boolean("dns", value)?,
                "standard-streams" => walls.standard_streams = self.boolean("standard-streams", value)?,
                "read" => {
                    let what = "`read` is a list of paths: write read = [\"/etc/ssl\"]";
                    walls.read = self.paths("read", value, what)?;
                }
                "write" => {
                    let what = "`write` is a list of paths: write write = [\"/var/cache/zvfs\"]";
                    walls.write = self.paths("write", value, what)?;
                }
                "open" => walls.open = self.schemes(value)?,
                "memory" => walls.memory = Some(self.memory(value)?),
                _ => {
                    let known = [
                        "tcp-connect",
                        "tcp-listen",
                        "udp",
                        "dns",
                        "standard-streams",
                        "read",
                        "write",
                        "open",
                        "memory",
                    ];
                    return Err(self.unknown(key, " of `may`", &known));
                }
            }
        }
        Ok(())
    }

    pub(super) fn may_lack(
        &self,
        key: Key<'_, '_>,
        value: Value<'_, '_>,
        placing: &mut Placing,
    ) -> Result<()> {
        placing.of_a_process = Some(("may-lack", key.span()));
        let names = Wall::ALL.map(Wall::name);
        let what = || {
            let text = format!("`may-lack` is a list of walls: there are `{}`", names.join("`, `"));
            self.wrong(value.span(), text)
        };
        for name in value.get_ref().as_array().ok_or_else(what)?.iter() {
            let text = name.get_ref().as_str().ok_or_else(what)?;
            let wall = Wall::ALL.into_iter().find(|wall| wall.name() == text);
            placing.walls.may_lack.push(wall.ok_or_else(|| match nearest(text, names) {
                Some(meant) => {
                    let text = format!("`may-lack` {}: did you mean `{meant}`?", text.escape_debug());
                    self.wrong(name.span(), text)
                }
                None => what(),
            })?);
        }
        Ok(())
    }

    /// What the section says as a whole.
    pub(super) fn walls(&self, placing: Placing) -> Result<Option<Walls>> {
        match placing.of_a_process {
            Some((name, place)) if !placing.in_process => {
                let text = format!(
                    "`{name}` is about a process of the provider's own, and holds nothing in the host: write place = \"process\", or leave `{name}` out"
                );
                Err(self.wrong(place, text))
            }
            _ => Ok(placing.in_process.then_some(placing.walls)),
        }
    }

    fn schemes(&self, value: Value<'_, '_>) -> Result<Vec<String>> {
        let what = "`open` is a list of schemes: write open = [\"file\"]";
        let list = value.get_ref().as_array().ok_or_else(|| self.wrong(value.span(), what))?;
        let scheme = |scheme: Value<'_, '_>| match scheme.get_ref().as_str() {
            Some(text) if is_scheme(text) => Ok(text.to_ascii_lowercase()),
            Some(text) => {
                let text = format!("open {text:?}: write a scheme without its colon: open = [\"file\"]");
                Err(self.wrong(scheme.span(), text))
            }
            None => Err(self.wrong(scheme.span(), what)),
        };
        list.iter().map(scheme).collect()
    }

    fn boolean(&self, name: &str, value: Value<'_, '_>) -> Result<bool> {
        match value.get_ref() {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.wrong(value.span(), format!("`{name}` is true or false"))),
        }
    }

    fn memory(&self, value: Value<'_, '_>) -> Result<u64> {
        let bytes = match value.get_ref() {
            DeValue::String(text) => parse_size(text),
            DeValue::Integer(number) if number.radix() == 10 => parse_size(number.as_str()),
            _ => None,
        };
        match bytes {
            Some(0) => {
                let text = "`memory` is 0, with which no process runs: write memory = \"512m\", or leave it out for no limit";
                Err(self.wrong(value.span(), text))
            }
            Some(bytes) => Ok(bytes),
            None => Err(self.wrong(value.span(), "`memory` is a size in bytes: write memory = \"512m\"")),
        }
    }
}
