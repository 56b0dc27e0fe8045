//! Settings on their way through the boundary, in both directions.
#![expect(unsafe_code, reason = "reads the other side's list")]

use crate::abi;
use crate::boundary::{Argument, c_string, copied, read};
use crate::bridge::translate::kind_from_abi;
#[cfg(feature = "host")]
use crate::bridge::translate::kind_to_abi;
use crate::error::Result;
use crate::settings::{Settings, Value};
use std::ffi::CString;
use std::ptr;

/// Settings in C's form: a NULL-terminated list of pointers.
#[derive(Default)]
pub(crate) struct Values {
    _strings: Vec<(CString, CString)>,
    _values: Box<[abi::Value]>,
    /// Empty where there are none: most opens have no settings, and allocate nothing for them.
    list: Box<[*const abi::Value]>,
}

/// The list without any.
const NONE: &[*const abi::Value] = &[ptr::null()];

impl Values {
    #[cfg(feature = "host")]
    pub(crate) fn new(settings: &Settings) -> Values {
        Values::of(settings.iter().map(|(name, kind, value)| {
            (name.as_str(), value.text.as_str(), value.number, kind_to_abi(*kind))
        }))
    }

    /// Values of which only name and text are known.
    pub(crate) fn of_texts(settings: &[(String, String)]) -> Values {
        Values::of(settings.iter().map(|(name, text)| (name.as_str(), text.as_str(), 0, abi::TYPE_STRING)))
    }

    fn of<'a>(settings: impl ExactSizeIterator<Item = (&'a str, &'a str, i64, u32)>) -> Values {
        if settings.len() == 0 {
            return Values::default();
        }
        let settings: Vec<_> = settings.collect();
        let strings: Vec<_> =
            settings.iter().map(|(name, text, ..)| (c_string(name), c_string(text))).collect();
        let values: Box<[_]> = settings
            .iter()
            .zip(&strings)
            .map(|((.., number, kind), (name, text))| abi::Value {
                struct_size: abi::Value::SIZE,
                name: name.as_ptr(),
                text: text.as_ptr(),
                number: *number,
                kind: *kind,
                reserved: 0,
            })
            .collect();
        let list = values.iter().map(ptr::from_ref).chain([ptr::null()]).collect();
        Values { _strings: strings, _values: values, list }
    }

    pub(crate) fn list(&self) -> *const *const abi::Value {
        if self.list.is_empty() { NONE.as_ptr() } else { self.list.as_ptr() }
    }
}

/// The values of a list in C's form.
///
/// # Safety
/// `list` is NULL or a NULL-terminated list of values, valid during the call.
///
/// # Errors
/// EINVAL: one is smaller than in version 1.
pub(crate) unsafe fn values(list: *const *const abi::Value) -> Result<Vec<abi::Value>> {
    let mut values = Vec::new();
    for at in 0.. {
        // SAFETY: the caller's promise; no element before this one was the terminator.
        if list.is_null() || unsafe { *list.add(at) }.is_null() {
            break;
        }
        // SAFETY: an element of the list.
        values.push(unsafe { read(*list.add(at), "zvfs_value") }?);
    }
    Ok(values)
}

impl Argument for Settings {
    type C = *const *const abi::Value;

    unsafe fn check(list: *const *const abi::Value, _: &'static str) -> Result<Settings> {
        let mut settings = Settings::none();
        // SAFETY: the caller's promise is the same.
        for value in unsafe { values(list) }? {
            // A newer host may pass a type that this provider's schema cannot have asked for.
            if let Some(kind) = kind_from_abi(value.kind) {
                // SAFETY: the ABI's strings are terminated and valid during the call.
                let name = unsafe { copied(value.name, "a setting's name") }?;
                // SAFETY: as above.
                let text = unsafe { copied(value.text, "a setting's text") }?;
                settings.push(name, kind, Value { text, number: value.number });
            }
        }
        Ok(settings)
    }
}
