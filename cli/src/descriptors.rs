//! What the subcommands that open descriptors share: their options, and a call for each descriptor.

use crate::exit::{self, Failure};
use crate::options::{Options, duration, setting};
use crate::setup;
use crate::watch::Watch;
use clap::Args;
use std::collections::BTreeSet;
use std::time::Duration;
use vfs_core::{Code, Error, Info, OpenFlags, OpenOptions, Registry, Result, Scope, Shown};

/// Options of the subcommands that open descriptors.
#[derive(Args, Debug)]
pub struct DescriptorOptions {
    /// A per-open setting for each descriptor of this command whose provider has it; repeatable
    #[arg(short = 'o', value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// Give up after this time, such as 500ms, 30s or 5m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

impl DescriptorOptions {
    /// Makes a call for each descriptor, with those of the settings that its provider takes, and goes on after a failure. What a
    /// call gives is closed when its data are complete.
    pub fn each<'a, T>(
        &self,
        options: &Options,
        flags: OpenFlags,
        descriptors: impl IntoIterator<Item = &'a (impl AsRef<str> + ?Sized + 'a)>,
        call: impl FnMut(&Registry, &Watch, &str, &OpenOptions) -> std::result::Result<T, Failure>,
    ) -> std::result::Result<(), Failure> {
        let watch = Watch::start(self.timeout)?;
        let registry = setup::registry(options)?;
        let mut list: Vec<_> = descriptors.into_iter().map(|it| Assigned::new(it.as_ref())).collect();
        self.assign(&registry, &watch, &mut list)?;
        // What it keeps open is closed while the watch is on.
        let mut call = call;
        // Those that fail stay to be done.
        let mut to_do = list.len();
        let result = exit::each(&list, |assigned| {
            let how = assigned.open(flags).control(&watch.control(assigned.descriptor));
            let file = call(&registry, &watch, assigned.descriptor, &how)?;
            to_do -= 1;
            if to_do == 0 {
                watch.closes(&registry, assigned.descriptor);
            }
            drop(file);
            Ok(())
        });
        if result.is_ok() {
            watch.closes(&registry, "file:/dev/stdout");
            drop(call);
            watch.stop(registry);
        }
        result
    }

    /// Gives each descriptor those of the settings that its provider takes.
    ///
    /// # Errors
    /// EINVAL: a setting that none of them takes.
    pub fn assign(&self, registry: &Registry, watch: &Watch, list: &mut [Assigned<'_>]) -> Result<()> {
        if self.settings.is_empty() {
            return Ok(());
        }
        // One that cannot be used says so when it is opened.
        let info = |assigned: &Assigned<'_>| {
            let how = OpenOptions::default().control(&watch.control(assigned.descriptor));
            registry.info(assigned.descriptor, &how).ok()
        };
        let infos: Vec<Option<Info>> = list.iter().map(info).collect();
        for (name, text) in &self.settings {
            let takes = |info: &Option<Info>| info.as_ref().is_none_or(|info| takes_with_open(info, name));
            if !infos.iter().any(takes) {
                let providers: BTreeSet<&str> =
                    infos.iter().flatten().map(|info| info.name.as_str()).collect();
                let providers: Vec<&str> = providers.into_iter().collect();
                let text = format!(
                    "-o {name}: not a per-open setting of `{}`: `zvfs providers` lists them",
                    providers.join("` or `")
                );
                return Err(Error::new(Code::EINVAL, text));
            }
            for (assigned, _) in list.iter_mut().zip(&infos).filter(|(_, info)| takes(info)) {
                assigned.settings.push((name.clone(), text.clone()));
            }
        }
        Ok(())
    }
}

fn takes_with_open(info: &Info, name: &str) -> bool {
    info.settings.iter().any(|setting| setting.name == name && setting.scope.contains(Scope::OPEN))
}

/// A descriptor with its per-open settings.
pub struct Assigned<'a> {
    pub descriptor: &'a str,
    pub settings: Vec<(String, String)>,
    /// The folder in which it was found: a link that somebody puts there since then must not lead out of it.
    pub within: Option<&'a str>,
}

impl<'a> Assigned<'a> {
    /// Without any setting.
    pub fn new(descriptor: &'a str) -> Assigned<'a> {
        Assigned { descriptor, settings: Vec::new(), within: None }
    }

    /// Another descriptor, with the same settings.
    pub fn at<'b>(&self, descriptor: &'b str) -> Assigned<'b> {
        Assigned { descriptor, settings: self.settings.clone(), within: None }
    }

    /// The same, of what lies in a folder, if it is one.
    pub fn within(self, folder: Option<&'a str>) -> Assigned<'a> {
        Assigned { within: folder, ..self }
    }

    /// The descriptor for messages.
    pub fn shown(&self) -> String {
        Shown(self.descriptor).to_string()
    }

    /// How to open it.
    pub fn open(&self, flags: OpenFlags) -> OpenOptions {
        let open = OpenOptions::new(flags);
        let open = self.within.iter().fold(open, |open, folder| open.offer("within", *folder));
        self.settings.iter().fold(open, |open, (name, text)| open.setting(name, text))
    }
}
