//! Layers of the host's own: what an inner file inherits, and in which order things end.
#![cfg(feature = "host")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[allow(dead_code, reason = "each test file uses its part")]
mod probe;

use probe::{Log, Probe};
use std::sync::{Arc, Mutex};
use vfs_core::{
    Capabilities, Code, Configuration, Context, Control, Descriptor, File, Host, Info, Inner, Instance,
    OpenFlags, OpenOptions, Provider, Registry, Request, Result, Settings,
};

/// `layer:<inner>` opens its inner descriptor and passes reads on.
#[derive(Clone, Default)]
struct Layer {
    events: Arc<Mutex<Vec<&'static str>>>,
    /// Given to every inner open.
    mode: Option<&'static str>,
}

impl Provider for Layer {
    fn info(&self) -> Info {
        Info::new("layer", "1.0", "passes reads on").supported_flags(OpenFlags::from_bits(0xff))
    }

    fn start(&self, host: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Running { layer: self.clone(), host }))
    }
}

struct Running {
    layer: Layer,
    host: Host,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.layer.events.lock().unwrap().push("stop");
    }
}

impl Instance for Running {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let mut how = Inner::new(request.flags()).expected_size(request.expected_size());
        if let Some(mode) = self.layer.mode {
            how = how.setting("mode", mode);
        }
        let inner = self.host.open(request.context(), request.rest(), &how)?;
        Ok(Box::new(Passing { inner, layer: self.layer.clone(), context: request.context().clone() }))
    }
}

struct Passing {
    inner: Box<dyn File>,
    layer: Layer,
    context: Context,
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.layer.events.lock().unwrap().push("close");
    }
}

impl File for Passing {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.context.status()?;
        self.inner.read(buf)
    }
}

fn registry(layer: &Layer) -> (Registry, Log) {
    let probe = Probe::new("probe");
    let log = probe.log();
    let registry = Registry::new(Configuration::parse("[provider.probe]\nsettings = { depth = 3 }").unwrap());
    registry.register(Box::new(probe)).unwrap();
    registry.register(Box::new(layer.clone())).unwrap();
    (registry, log)
}

fn read() -> OpenOptions {
    OpenOptions::new(OpenFlags::READ)
}

#[test]
fn an_inner_file_gets_its_providers_settings_the_hosts_offers_and_the_layers_own() {
    let layer = Layer { mode: Some("5"), ..Layer::default() };
    let (registry, log) = registry(&layer);
    registry.open("layer:layer:probe:x", &read().offer("node", "7")).unwrap_err(); // the outer layer's `mode` is no setting of `layer`
    registry.open("layer:probe:x", &read().offer("node", "7")).unwrap();
    assert_eq!(log.starts(), ["depth=3"]);
    assert_eq!(
        (log.opened(), log.open_settings()),
        (vec!["probe:x".to_owned()], vec!["mode=5 node=7".to_owned()])
    );
    let (registry, log) = self::registry(&Layer::default());
    registry.open("layer:layer:probe:x", &read().offer("node", "7")).unwrap();
    assert_eq!(log.open_settings(), ["node=7"], "through two layers");
}

#[test]
fn files_close_before_their_instances_stop_and_the_registry_may_go_first() {
    let layer = Layer::default();
    let (registry, log) = registry(&layer);
    let mut file = registry.open("layer:probe:x", &read()).unwrap();
    drop(registry);
    assert_eq!(log.events(), ["start", "open"], "nothing ends while a file is open");
    assert_eq!(file.read(&mut [0; 4]).unwrap(), 0);
    drop(file);
    assert_eq!(log.events(), ["start", "open", "close", "stop"]);
    assert_eq!(*layer.events.lock().unwrap(), ["close", "stop"]);
}

#[test]
fn a_cancel_reaches_inner_files_that_are_opened_before_and_after_it() {
    let (registry, _) = registry(&Layer::default());
    let host = registry.host();
    let control = Control::new();
    let context = control.context();
    let inner = Inner::new(OpenFlags::READ);
    let mut before = host.open(&context, "layer:probe:x", &inner).unwrap();
    assert_eq!(before.read(&mut [0; 4]).unwrap(), 0);
    control.cancel();
    assert_eq!(before.read(&mut [0; 4]).unwrap_err().code(), Code::ECANCELED);
    let error = host.open(&context, "layer:probe:x", &inner).map(drop).unwrap_err();
    assert_eq!(error.code(), Code::ECANCELED);
    control.lift();
    assert_eq!(before.read(&mut [0; 4]).unwrap(), 0, "what is lifted above is lifted below");
    control.set_deadline(Some(std::time::Instant::now()));
    assert_eq!(before.read(&mut [0; 4]).unwrap_err().code(), Code::ETIMEDOUT);
}

#[test]
fn a_registry_that_is_gone_opens_nothing_more() {
    let (registry, _) = registry(&Layer::default());
    let (host, context) = (registry.host(), Control::new().context());
    drop(registry);
    let error = host.open(&context, "probe:x", &Inner::default()).map(drop).unwrap_err();
    assert_eq!(error.code(), Code::ECANCELED, "{error:?}");
}

#[test]
fn a_host_without_other_providers_says_so() {
    let (host, context) = (Host::logging("alone", "1", |_, _| {}), Control::new().context());
    let instance = Layer::default().start(host, Settings::none()).unwrap();
    let request = Request::new(&context, "layer", Descriptor::parse("layer:probe:x").unwrap());
    let error = instance.open(&request).map(drop).unwrap_err();
    assert_eq!(error.code(), Code::ENOTSUP);
    assert!(error.to_string().contains("zvfs.host.open/1"), "{error}");
}
