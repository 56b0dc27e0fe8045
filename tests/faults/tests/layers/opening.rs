//! What a layer may open, when, and how much of it.

use super::*;

/// Found: behind walls that let it read nothing, a library read /etc/shadow, which its host opened for it.
#[test]
fn a_layer_in_a_process_opens_what_it_may_and_nothing_else() {
    bounded(|| {
        let place = Place::new(&[]);
        fs::write(place.path("x"), "secret").unwrap();
        for (open, expected) in
            [("", Err(Code::EACCES)), ("\"mem\"", Err(Code::EACCES)), ("\"FILE\"", Ok(()))]
        {
            let sections = LAYERS.map(|layer| {
                format!("[provider.{layer}]\nplace = \"process\"\nmay-lack = [\"landlock\", \"landlock-net\", \"seccomp\"]\nmay = {{ open = [{open}] }}\n")
            });
            let registry = place.with(&format!("{}[provider.file]", sections.concat()));
            for layer in LAYERS {
                let descriptor = place.over(layer, "pass", "x");
                let file = registry.open(&descriptor, &read());
                let names = registry.stat(&descriptor, &OpenOptions::default());
                for got in [file.map(drop), names.map(drop)] {
                    if let Err(error) = &got {
                        assert!(error.chain().contains("open = [\"file\"]"), "{}", error.chain());
                    }
                    assert_eq!(got.map_err(|error| error.code()), expected, "{descriptor} with {open}");
                }
            }
        }
    });
}

/// Each may be a descriptor of the host's, of which others need some.
#[test]
fn a_layer_in_a_process_has_so_many_inner_files_and_no_more() {
    bounded(|| {
        let place = Place::new(&["layering"]);
        fs::write(place.path("x"), "text").unwrap();
        let registry = place.registry();
        let error = registry.open(&place.over("layering", "many", "x"), &read()).unwrap_err();
        assert_eq!(error.code(), Code::EMFILE, "{}", error.chain());
        assert!(error.chain().contains("has 256 files of other providers open"), "{}", error.chain());
        // They are closed now.
        opened(&registry, &place.over("layering", "pass", "x"), OpenFlags::READ);
    });
}

#[test]
fn an_inner_scheme_needs_the_operators_permission_too() {
    everywhere(|place| {
        fs::write(place.path("in"), "forbidden").unwrap();
        let registry = place.with("[provider.clayer]\n[provider.layering]");
        for layer in LAYERS {
            let error = registry.open(&place.over(layer, "pass", "in"), &read()).unwrap_err();
            assert_eq!(error.code(), Code::EACCES, "{layer}");
            assert!(error.chain().contains("[provider.file]"), "{}", error.chain());
            let error = registry.open(&format!("{layer}:pass,nosuch:x"), &read()).unwrap_err();
            assert_eq!(error.code(), Code::EPROTONOSUPPORT, "{layer}");
        }
        let root = place.path("root");
        fs::create_dir(&root).unwrap();
        let registry = place.with(&format!(
            "[provider.clayer]\n[provider.layering]\n[provider.file]\nsettings = {{ root = {root:?} }}"
        ));
        for layer in LAYERS {
            let error = registry.open(&place.over(layer, "pass", "in"), &read()).unwrap_err();
            assert_ne!(
                error.code(),
                Code::EIO,
                "{layer}: the operator's root holds for inner files: {error:?}"
            );
            assert!(error.chain().contains("root"), "{}", error.chain());
        }
    });
}

#[test]
fn nothing_can_be_opened_in_start() {
    everywhere(|place| {
        for layer in LAYERS {
            for inner in ["/dev/null", &format!("{layer}:pass,/dev/null")] {
                let section =
                    format!("[provider.{layer}]\nsettings = {{ at-start = \"{inner}\" }}\n[provider.file]");
                let error =
                    place.with(&section).open(&format!("{layer}:pass,/dev/null"), &read()).unwrap_err();
                assert_eq!(error.code(), Code::EBUSY, "{layer}: {error:?}");
                assert!(error.chain().contains("not in start"), "{}", error.chain());
            }
        }
    });
}

#[test]
fn a_context_that_is_nobodys_opens_nothing() {
    everywhere(|place| {
        let error = place.registry().open("layering:foreign,/dev/null", &read()).unwrap_err();
        assert_eq!(error.code(), Code::EINVAL);
        assert!(error.chain().contains("the context of an open file"), "{}", error.chain());
    });
}

#[test]
fn misuse_of_the_hosts_calls_is_einval() {
    everywhere(|place| {
        let registry = place.registry();
        fs::write(place.path("in"), "x").unwrap();
        let _other = opened(&registry, &place.over("clayer", "pass", "in"), OpenFlags::READ);
        opened(&registry, &place.over("clayer", "misuse", "in"), OpenFlags::READ);
    });
}

#[test]
fn a_layer_outlives_its_registry_and_its_inner_file_outlives_a_layer_that_forgets_it() {
    everywhere(|place| {
        fs::write(place.path("in"), "still here").unwrap();
        for layer in LAYERS {
            let registry = place.registry();
            let mut file = opened(&registry, &place.over(layer, "pass", "in"), OpenFlags::READ);
            drop(registry);
            assert_eq!(std::io::read_to_string(&mut file).unwrap(), "still here");
            drop(file);
            let registry = place.registry();
            drop(opened(&registry, &place.over(layer, "leak", "in"), OpenFlags::READ));
            drop(registry);
        }
        // Read and closed on another thread after the layer's file, its context, its instance and the registry are gone.
        let registry = place.registry();
        drop(opened(&registry, &place.over("layering", "late", "in"), OpenFlags::READ));
        drop(registry);
        let fresh = place.path("in").display().to_string();
        let mut file = opened(&place.registry(), &fresh, OpenFlags::READ | OpenFlags::WRITE);
        file.write_all(b"on").unwrap();
    });
}
