//! Settings on their way through the boundary.

use crate::abi;
use crate::bridge::strings::c_string;
#[cfg(feature = "host")]
use crate::bridge::translate::kind_to_abi;
#[cfg(feature = "host")]
use crate::settings::Settings;
use std::ffi::CString;
use std::ptr;

/// Settings in C's form: a NULL-terminated list of pointers.
pub(crate) struct Values {
    _strings: Vec<(CString, CString)>,
    _values: Box<[abi::Value]>,
    list: Box<[*const abi::Value]>,
}

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

    fn of<'a>(settings: impl Iterator<Item = (&'a str, &'a str, i64, u32)>) -> Values {
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
        self.list.as_ptr()
    }
}
