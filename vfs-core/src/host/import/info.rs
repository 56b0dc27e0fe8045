//! What a library says of itself must be what a host can work with, wherever it runs.

use crate::descriptor::is_scheme;
use crate::flags::{OpenFlags, Scope};
use crate::provider::{Info, is_provider_name};
use crate::settings::{Setting, SettingKind};

/// Checks what a library says. The error is the defect, in words.
pub(crate) fn check_info(info: &Info) -> Result<(), String> {
    if !is_provider_name(&info.name) {
        let shown = info.name.escape_debug();
        return Err(format!("name `{shown}`: 1 to 32 lower-case letters, digits, - and _"));
    }
    for (at, scheme) in info.schemes.iter().enumerate() {
        if !is_scheme(scheme) || scheme.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let shown = scheme.escape_debug();
            return Err(format!(
                "scheme `{shown}`: 2 to 32 lower-case letters, digits, +, -, ., a letter first"
            ));
        }
        if info.schemes[..at].contains(scheme) {
            return Err(format!("scheme `{scheme}` twice"));
        }
    }
    if info.schemes.is_empty() {
        return Err("no schemes".into());
    }
    if !info.supported_flags.intersects(OpenFlags::READ | OpenFlags::WRITE) {
        return Err("supported_flags has neither READ nor WRITE".into());
    }
    info.settings.iter().try_for_each(check_setting)
}

/// Checks a setting's name, of those too that this host leaves out.
pub(super) fn check_setting_name(name: &str) -> Result<(), String> {
    let named =
        |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    if name.is_empty() || name.len() > 63 || !name.chars().all(named) {
        return Err(format!("setting `{}`: 1 to 63 lower-case letters, digits and -", name.escape_debug()));
    }
    Ok(())
}

fn check_setting(setting: &Setting) -> Result<(), String> {
    let name = &setting.name;
    check_setting_name(name)?;
    if setting.list && !matches!(setting.kind, SettingKind::Text | SettingKind::Path) {
        return Err(format!("setting `{name}`: a list has type text or path, not {}", setting.kind.name()));
    }
    if !setting.scope.intersects(Scope::OPERATOR | Scope::OPEN) {
        return Err(format!("setting `{name}` has no scope, so it can never be set"));
    }
    match &setting.default {
        Some(default) => {
            setting.parse(default).map(drop).map_err(|error| format!("its default is invalid: {error}"))
        }
        None => Ok(()),
    }
}
