//! A provider behind a registry, as a program uses it: what the host keeps for every provider is there too.

use crate::case::{Case, host};
use crate::step::Step;
use crate::subject::Subject;
use std::sync::{Arc, Mutex, PoisonError};
use vfs_core::{
    Code, Configuration, Control, Error, File, Host, Info, Instance, Namespace, OpenFile, OpenFlags,
    OpenOptions, Provider, Registry, Request, Result, Scope, Settings,
};

/// A case whose instance a registry has too.
pub(crate) struct Hosted<'a> {
    pub case: Case<'a>,
    registry: Registry,
}

impl<'a> Hosted<'a> {
    pub fn start(subject: &'a Subject) -> Step<Hosted<'a>> {
        let case = Case::start(subject)?;
        let instance: Arc<dyn Instance> = Arc::from(case.instance);
        let mut info = case.info.clone();
        // The instance has those of the operator's already.
        info.settings.retain(|setting| setting.scope.contains(Scope::OPEN));
        let mut configuration = Configuration::closed();
        for scheme in info.schemes.iter().filter(|scheme| **scheme != info.name) {
            configuration.add_alias(scheme, &info.name, Some(scheme), None)?;
        }
        let registry = Registry::with_host(configuration, host(subject));
        let given = Mutex::new(Some(Shared(instance.clone())));
        registry.register(Box::new(Given { info, given }))?;
        Ok(Hosted { case: Case { instance: Box::new(Shared(instance)), ..case }, registry })
    }

    pub fn open(&self, control: &Control, descriptor: &str, flags: OpenFlags) -> Result<OpenFile> {
        self.registry.open(descriptor, &OpenOptions::new(flags).control(control))
    }
}

/// A provider of one instance, which runs already.
struct Given {
    info: Info,
    given: Mutex<Option<Shared>>,
}

impl Provider for Given {
    fn info(&self) -> Info {
        self.info.clone()
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        let instance = self.given.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Box::new(instance.ok_or_else(|| Error::new(Code::EBUSY, "start: started already"))?))
    }
}

struct Shared(Arc<dyn Instance>);

impl Instance for Shared {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        self.0.open(request)
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        self.0.namespace()
    }
}
