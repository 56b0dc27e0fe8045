//! `zvfs.h`: configuration.

use crate::argument::{Object, Pairs};
use crate::place::library;
use crate::pool::{Exclusive, Kind, Pool, Slot};
use std::path::Path;
use vfs_core::boundary::Place;
use vfs_core::{Code, Configuration, Digest, Error, Result, extern_c};

pub type ConfigurationSlot = Slot<Configuration>;

static CONFIGURATIONS: Pool<Configuration> = Pool::new();

impl Kind for Configuration {
    const NAME: &'static str = "configuration";
    const INHERITED: bool = true;
}

/// Finds the operator's file, or the providers that belong to this library.
pub fn find(file: Option<&str>) -> Result<Configuration> {
    Configuration::find_beside(file.map(Path::new), &[], library)
}

extern_c! { exported by "libzvfs":
    fn zvfs_configuration_new(out: Place<'_, *const ConfigurationSlot>) -> i32 {
        out.put(CONFIGURATIONS.insert(Configuration::closed()));
        Ok(())
    }
    fn zvfs_configuration_find(file: Option<&str>, out: Place<'_, *const ConfigurationSlot>) -> i32 {
        out.put(CONFIGURATIONS.insert(find(file)?));
        Ok(())
    }
    fn zvfs_configuration_parse(text: &str, out: Place<'_, *const ConfigurationSlot>) -> i32 {
        out.put(CONFIGURATIONS.insert(Configuration::parse(text)?));
        Ok(())
    }
    fn zvfs_configuration_add_provider_path(configuration: Exclusive<Configuration>, folder: &str) -> i32 {
        configuration.add_provider_path(folder)
    }
    fn zvfs_configuration_allow(configuration: Exclusive<Configuration>, provider: &str) -> i32 {
        configuration.allow(provider)
    }
    fn zvfs_configuration_allow_all(configuration: Exclusive<Configuration>) -> i32 {
        configuration.allow_all()
    }
    fn zvfs_configuration_pin(configuration: Exclusive<Configuration>, provider: &str, sha256: &str) -> i32 {
        let digest = Digest::try_from(sha256.to_owned()).map_err(|text| Error::new(Code::EINVAL, text))?;
        configuration.pin(provider, digest)
    }
    fn zvfs_configuration_place_in_process(
        configuration: Exclusive<Configuration>, provider: &str, may: &str
    ) -> i32 {
        configuration.place_in_process(provider, may.parse()?)
    }
    fn zvfs_configuration_set(
        configuration: Exclusive<Configuration>, provider: &str, setting: &str, value: &str
    ) -> i32 {
        configuration.set(provider, setting, value)
    }
    fn zvfs_configuration_append(
        configuration: Exclusive<Configuration>, provider: &str, setting: &str, value: &str
    ) -> i32 {
        configuration.append(provider, setting, value)
    }
    fn zvfs_configuration_alias(
        configuration: Exclusive<Configuration>, scheme: &str, provider: &str, as_scheme: Option<&str>, settings: Option<Pairs>
    ) -> i32 {
        configuration.add_alias(scheme, provider, as_scheme, settings.map(|settings| settings.0).as_deref())
    }
    fn zvfs_configuration_free(configuration: Option<Object<Configuration>>) -> (), plain {
        configuration.map_or(Ok(()), |object| CONFIGURATIONS.remove_soon(object.slot()).map(drop))
    }
}
