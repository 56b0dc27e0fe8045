//! `zvfs.h`: about the library.

use std::ffi::{CString, c_char};
use vfs_core::{Code, PerProcess, extern_c};

/// Linux's numbers end before this one.
const CODES: usize = 256;

/// Names and words of the codes, in C's form.
static TEXTS: PerProcess<Vec<(Option<CString>, CString)>> = PerProcess::new();

fn texts(code: i32) -> Option<&'static (Option<CString>, CString)> {
    let c_string = |text: &str| CString::new(text).unwrap_or_default();
    let texts = TEXTS.get_or_make(|| {
        (0..CODES as i64)
            .map(|number| {
                let code = Code::from_raw(number);
                (code.name().filter(|_| number != 0).map(c_string), c_string(code.text()))
            })
            .collect()
    });
    texts.get(code.unsigned_abs() as usize)
}

extern_c! { exported by "libzvfs":
    fn zvfs_version() -> *const c_char, plain {
        Ok(concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast())
    }
    fn zvfs_code_name(code: i32) -> *const c_char, plain {
        Ok(texts(code).and_then(|(name, _)| name.as_ref()).map_or(std::ptr::null(), |name| name.as_ptr()))
    }
    fn zvfs_code_text(code: i32) -> *const c_char, plain {
        Ok(match texts(code) {
            _ if code == 0 => c"success".as_ptr(),
            Some((_, text)) => text.as_ptr(),
            None => c"unknown error".as_ptr(),
        })
    }
}
