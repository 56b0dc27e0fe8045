//! Fields: tag u16, length u16, value. HELLO, REGISTER and MATCH are made of them.

use crate::error::{Error, Result};
use crate::values::{Address, Name, Role, Token};

pub(crate) const PURPOSE: u16 = 2;
pub(crate) const ROLE: u16 = 4;
pub(crate) const FEATURES: u16 = 5;
pub(crate) const NAME: u16 = 6;
pub(crate) const AGENT: u16 = 7;
pub(crate) const NONCE: u16 = 8;
pub(crate) const WINDOW: u16 = 9;
pub(crate) const TOKEN: u16 = 10;
pub(crate) const ADDRESS: u16 = 11;
pub(crate) const PROOF: u16 = 12;
pub(crate) const WRITERS: u16 = 13;
pub(crate) const ALIVE: u16 = 15;
pub(crate) const TAKEOVER: u16 = 17;
pub(crate) const STATE: u16 = 18;
pub(crate) const SECONDS: u16 = 19;
pub(crate) const BYTES: u16 = 21;

/// The most addresses of one registration.
pub const ADDRESSES_MAX: usize = 8;

/// The most fields of one body, addresses apart: looking for tags given twice stays cheap.
const FIELDS_MAX: usize = 32;

/// Appends one field. Values of ours are far below 64 KiB.
pub(crate) fn put(out: &mut Vec<u8>, tag: u16, value: &[u8]) {
    out.extend_from_slice(&tag.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
}

pub(crate) fn put_addresses(out: &mut Vec<u8>, addresses: &[Address]) {
    for address in addresses.iter().take(ADDRESSES_MAX) {
        put(out, ADDRESS, address.as_str().as_bytes());
    }
}

pub(crate) fn push_address(addresses: &mut Vec<Address>, address: Address) -> Result<()> {
    if addresses.len() == ADDRESSES_MAX {
        return Err(Error::protocol(format!("more than {ADDRESSES_MAX} addresses")));
    }
    addresses.push(address);
    Ok(())
}

/// One field of a body.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    pub tag: u16,
    pub value: &'a [u8],
}

/// Calls `known` for each field; it says whether it knows the tag.
///
/// Here are the rules that all bodies share: a length within the body, no tag twice (an address may be), no unknown even tag.
pub(crate) fn each(mut body: &[u8], mut known: impl FnMut(Field<'_>) -> Result<bool>) -> Result<()> {
    let (mut seen, mut count) = ([0; FIELDS_MAX], 0);
    while let Some((head, rest)) = body.split_first_chunk::<4>() {
        let [t0, t1, l0, l1] = *head;
        let (tag, length) = (u16::from_le_bytes([t0, t1]), usize::from(u16::from_le_bytes([l0, l1])));
        let Some((value, rest)) = rest.split_at_checked(length) else {
            return Err(Error::protocol(format!("field {tag} is longer than its frame")));
        };
        body = rest;
        if tag != ADDRESS {
            if seen[..count].contains(&tag) {
                return Err(Error::protocol(format!("field {tag} is given twice")));
            }
            let next = seen.get_mut(count).ok_or_else(|| Error::protocol("too many fields"))?;
            (*next, count) = (tag, count + 1);
        }
        if !known(Field { tag, value })? && tag.is_multiple_of(2) {
            return Err(Error::protocol(format!("unknown field {tag}, which must not be ignored")));
        }
    }
    if body.is_empty() { Ok(()) } else { Err(Error::protocol("a field is cut off")) }
}

impl<'a> Field<'a> {
    fn wrong(&self) -> Error {
        Error::protocol(format!("the value of field {} is wrong", self.tag))
    }

    pub fn array<const N: usize>(&self) -> Result<[u8; N]> {
        self.value.try_into().map_err(|_| self.wrong())
    }

    pub fn u8(&self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    pub fn u32(&self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A text of at most `most` bytes without control characters.
    pub fn text(&self, most: usize) -> Result<&'a str> {
        let text = std::str::from_utf8(self.value).map_err(|_| self.wrong())?;
        if text.len() > most || text.chars().any(char::is_control) { Err(self.wrong()) } else { Ok(text) }
    }

    pub fn role(&self) -> Result<Role> {
        Role::from_byte(self.u8()?).ok_or_else(|| self.wrong())
    }

    pub fn name(&self) -> Result<Name> {
        Name::new(self.text(crate::values::NAME_MAX)?).map_err(|_| self.wrong())
    }

    pub fn address(&self) -> Result<Address> {
        Address::new(self.text(crate::values::ADDRESS_MAX)?).map_err(|_| self.wrong())
    }

    pub fn token(&self) -> Result<Token> {
        self.array().map(Token)
    }

    pub fn flag(&self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.wrong()),
        }
    }
}
