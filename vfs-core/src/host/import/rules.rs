//! Reads `zvfs.settings/1`: which values a library's settings may have, beyond their types.
#![expect(unsafe_code, reason = "reads the library's structs")]

use crate::abi;
use crate::host::import::read::{copy_struct, list, text};
use crate::settings::{Setting, SettingKind};

/// Lays a library's rules over its settings. `declared` has the names of those too that this host left out.
///
/// # Safety
/// The table is one that a library's `extension` returned for this id, and stays.
pub(super) unsafe fn apply(
    table: &abi::SettingsExtension,
    declared: &[String],
    settings: &mut [Setting],
) -> Result<(), String> {
    let mut seen = Vec::new();
    // SAFETY: the caller's promise; the header says that it is a NULL-terminated list.
    for rule in unsafe { list(table.rules, "rules") }? {
        // SAFETY: an element of the list.
        let rule = unsafe { copy_struct(rule, "zvfs_setting_rule") }?;
        // SAFETY: the struct's own pointer.
        let name = unsafe { text(rule.setting, "a rule's setting") }?;
        if !declared.contains(&name) {
            return Err(format!("a rule for `{}`, which is not a setting", name.escape_debug()));
        }
        if seen.contains(&name) {
            return Err(format!("two rules for setting `{name}`"));
        }
        if let Some(setting) = settings.iter_mut().find(|setting| setting.name == name) {
            // SAFETY: the caller's promise, of the rule's own list.
            unsafe { apply_one(&rule, setting) }
                .map_err(|why| format!("the rule for setting `{name}`: {why}"))?;
        }
        seen.push(name);
    }
    Ok(())
}

/// # Safety
/// The rule's `values` are as the header says.
unsafe fn apply_one(rule: &abi::SettingRule, setting: &mut Setting) -> Result<(), String> {
    if setting.kind.is_number() && (rule.minimum, rule.maximum) != (i64::MIN, i64::MAX) {
        if rule.minimum > rule.maximum {
            return Err(format!("minimum {} is above maximum {}", rule.minimum, rule.maximum));
        }
        setting.range = Some(rule.minimum..=rule.maximum);
    }
    if !rule.values.is_null() {
        if setting.kind != SettingKind::Text {
            return Err(format!("values are only for type text, not for type {}", setting.kind.name()));
        }
        // SAFETY: the caller's promise.
        for value in unsafe { list(rule.values, "values") }? {
            // SAFETY: an element of the list.
            setting.values.push(unsafe { text(value, "a value") }?);
        }
        if setting.values.is_empty() {
            return Err("it names no value".into());
        }
    }
    setting.private = rule.flags & abi::RULE_PRIVATE != 0;
    if setting.private && setting.kind != SettingKind::Path {
        return Err(format!("PRIVATE is only for type path, not for type {}", setting.kind.name()));
    }
    match &setting.default {
        Some(default) => setting.parse(default).map(drop).map_err(|error| format!("its default: {error}")),
        None => Ok(()),
    }
}
