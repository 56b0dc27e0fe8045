//! The sample provider in Rust: `env:NAME` reads an environment variable. Between the two lines is all that a simple
//! provider needs; a target for the SDK, and tested as it stands. `tests/abi/env.c` is the same in C.
#![cfg(feature = "host")]

use vfs_core::{
    Code, Configuration, Control, Descriptor, OpenFlags, OpenOptions, Registry, Request, Settings, built_in,
};

mod env {
    // ----
    use std::io::Read;
    use std::os::unix::ffi::OsStringExt;
    use vfs_core::{
        Capabilities, Code, Error, File, Host, Info, Instance, Provider, Request, Result, Settings,
        export_provider,
    };

    pub struct Env;
    struct Variable {
        value: Vec<u8>,
        at: usize,
    }

    impl Provider for Env {
        fn info(&self) -> Info {
            Info::new("env", env!("CARGO_PKG_VERSION"), "one environment variable")
        }
        fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
            Ok(Box::new(Env))
        }
    }
    impl Instance for Env {
        fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
            let value = std::env::var_os(request.rest())
                .ok_or_else(|| Error::new(Code::ENOENT, "no such variable"))?;
            Ok(Box::new(Variable { value: value.into_vec(), at: 0 }))
        }
    }
    impl File for Variable {
        fn capabilities(&self) -> Capabilities {
            Capabilities::READABLE | Capabilities::CANCEL
        }
        fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
            let n = (&self.value[self.at..]).read(buf)?;
            self.at += n;
            Ok(n)
        }
    }
    export_provider!(Env);
    // ----
}

#[test]
fn a_variable_is_read_to_its_end() {
    let registry = Registry::new(Configuration::default());
    registry.register(Box::new(env::Env)).unwrap();
    let read = OpenOptions::new(OpenFlags::READ);
    let mut file = registry.open("env:PATH", &read).unwrap();
    assert_eq!(std::io::read_to_string(&mut file).unwrap(), std::env::var("PATH").unwrap());
    assert_eq!(file.read(&mut [0; 8]).unwrap(), 0, "the end repeats");
    let error = registry.open("env:NO_SUCH_VARIABLE", &read).unwrap_err();
    assert_eq!(
        (error.code(), error.chain().as_str()),
        (Code::ENOENT, "open env:NO_SUCH_VARIABLE: no such variable")
    );
}

#[test]
fn the_macro_makes_a_table_of_it() {
    let table = env::zvfs_provider_v1();
    assert!(!table.is_null());
    assert_eq!(env::zvfs_provider_v1(), table, "one table, whoever asks");
}

#[test]
#[expect(unsafe_code, reason = "takes the sample's table as a host does")]
fn contradictory_flags_do_not_reach_an_exported_provider() {
    // SAFETY: the sample's own table, which stays.
    let provider = unsafe { built_in(env::zvfs_provider_v1()) }.unwrap();
    let (registry, context) = (Registry::new(Configuration::default()), Control::new().context());
    let instance = provider.start(registry.host(), Settings::none()).unwrap();
    let open = |flags| {
        let request = Request::new(&context, "env", Descriptor::parse("env:PATH").unwrap());
        instance.open(&request.with_flags(flags)).map(drop).map_err(|error| error.code())
    };
    assert_eq!(open(OpenFlags::READ), Ok(()));
    assert_eq!(open(OpenFlags::READ | OpenFlags::CREATE), Err(Code::EINVAL));
}
