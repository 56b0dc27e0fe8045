//! What a schema says beyond types, as C has it: `zvfs.settings/1` of an exported library.

use crate::abi;
use crate::boundary::c_string;
use crate::settings::Setting;
use std::ffi::{CString, c_char, c_void};
use std::ptr;

/// The extension's table, and what it points to. Boxed slices: they are never touched again, so their addresses stay.
pub(crate) struct Rules {
    table: Box<abi::SettingsExtension>,
    _rules: Box<[abi::SettingRule]>,
    _list: Box<[*const abi::SettingRule]>,
    _values: Vec<Box<[*const c_char]>>,
    _strings: Vec<CString>,
}

impl Rules {
    pub(crate) fn new(settings: &[Setting]) -> Rules {
        let (mut strings, mut values) = (Vec::new(), Vec::new());
        // A CString's bytes are on the heap: moving it into the list leaves them where they are.
        let mut keep = |text: &str| {
            let text = c_string(text);
            let pointer = text.as_ptr();
            strings.push(text);
            pointer
        };
        let mut keep_list = |texts: Vec<*const c_char>| {
            let list: Box<[_]> = texts.into_iter().chain([ptr::null()]).collect();
            let pointer = list.as_ptr();
            values.push(list);
            pointer
        };
        let ruled =
            |setting: &&Setting| setting.range.is_some() || !setting.values.is_empty() || setting.private;
        let rules: Box<[abi::SettingRule]> = settings
            .iter()
            .filter(ruled)
            .map(|setting| abi::SettingRule {
                struct_size: abi::SettingRule::SIZE,
                setting: keep(&setting.name),
                minimum: setting.range.as_ref().map_or(i64::MIN, |range| *range.start()),
                maximum: setting.range.as_ref().map_or(i64::MAX, |range| *range.end()),
                values: match setting.values.as_slice() {
                    [] => ptr::null(),
                    values => keep_list(values.iter().map(|value| keep(value)).collect()),
                },
                flags: if setting.private { abi::RULE_PRIVATE } else { 0 },
            })
            .collect();
        let list: Box<[_]> = rules.iter().map(ptr::from_ref).chain([ptr::null()]).collect();
        let table =
            abi::SettingsExtension { struct_size: abi::SettingsExtension::SIZE, rules: list.as_ptr() };
        Rules { table: Box::new(table), _rules: rules, _list: list, _values: values, _strings: strings }
    }

    /// What `extension` returns.
    pub(crate) fn table(&self) -> *const c_void {
        ptr::from_ref(&*self.table).cast()
    }
}
