//! `zvfs graph`: jobs as pictures.

use crate::support::{Done, Folder, copy_example, repository, run, zvfs};
use std::fs;

/// A manifest of a node with these channels besides the standard ones.
fn manifest(folder: &Folder, node: &str, channels: &[&str]) {
    let mut text = format!(
        "Version = 20140509\nProgram = /guests/{node}.wasm\nMemory = 1048576, 0\nTimeout = 5\nNode = {node}\n\
         Channel = /dev/null, /dev/stdin, 0, 1, 1, 0, 0\n\
         Channel = /dev/null, /dev/stdout, 0, 0, 0, 1, 1\n\
         Channel = /dev/stderr, /dev/stderr, 0, 0, 0, 7, 7\n"
    );
    channels.iter().for_each(|channel| text += &format!("Channel = {channel}\n"));
    folder.write(&format!("{node}.manifest"), &text);
}

fn graph(folder: &Folder, arguments: &[&str]) -> Done {
    let mut command = zvfs(["graph"]);
    command.args(arguments).current_dir(folder.path());
    run(command)
}

#[test]
fn the_sort_example_is_a_mesh_of_twelve_pipes() {
    let folder = Folder::new();
    copy_example("jobs/sort", folder.path());
    let nodes = ["m1", "m2", "m3", "m4", "r1", "r2", "r3"];
    let manifests = nodes.map(|node| format!("{node}.manifest"));
    let manifests = manifests.each_ref().map(String::as_str);
    let dot = graph(&folder, &[&["--format", "dot"], &manifests[..]].concat());
    let text = dot.succeeded().out();
    let between = |line: &&str| line.matches("guest").count() == 2;
    let pipes: Vec<&str> = text.lines().filter(between).collect();
    assert_eq!(pipes.len(), 12, "{text}");
    let first = "guest0 -> guest4 [label=\"/out/r1 to /in/m1\\n4.00 MiB in 10000\", color=\"black\", fontsize=\"14\"];";
    assert!(pipes.iter().any(|line| line.trim() == first), "{text}");
    for words in ["label=\"m1\\nmapper.wasm\"", "label=\"part-1.txt\"", "label=\"sorted-1.txt\""] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("dev/null") && !text.contains("stderr") && dot.stderr.is_empty(), "{text}");

    let svg = graph(&folder, &manifests);
    let svg = svg.succeeded().out();
    assert!(svg.contains("<svg") && svg.ends_with("</svg>\n"), "{svg}");
    assert_eq!(
        svg,
        fs::read_to_string(repository("examples/jobs/sort").join("job.svg")).unwrap(),
        "job.svg is of this command"
    );
    nodes.iter().for_each(|node| assert!(svg.contains(&format!(">{node}<")), "{node}: {svg}"));
}

#[test]
fn a_cycle_is_marked_and_told() {
    let folder = Folder::new();
    manifest(&folder, "a", &["netpipe:b:w, /out, 0, 0, 0, 1, 1", "netpipe:c:r, /in, 0, 1, 1, 0, 0"]);
    manifest(&folder, "b", &["netpipe:a:r, /in, 0, 1, 1, 0, 0", "netpipe:c:w, /out, 0, 0, 0, 1, 1"]);
    manifest(&folder, "c", &["netpipe:b:r, /in, 0, 1, 1, 0, 0", "netpipe:a:w, /out, 0, 0, 0, 1, 1"]);
    manifest(&folder, "d", &["netpipe:a/side:w, /out, 0, 0, 0, 1, 1"]);
    let names = ["a.manifest", "b.manifest", "c.manifest", "d.manifest"];
    let done = graph(&folder, &[&["--format", "dot"], &names[..]].concat());
    assert_eq!(done.code, 0, "{done:?}");
    let text = done.out();
    assert_eq!(text.matches("color=\"red\", penwidth=\"3\"").count(), 3, "{text}");
    let told = "zvfs: a cycle of pipes, a, b, c: its guests may wait for each other for ever\n";
    assert_eq!(done.stderr, told);
    // The other end of d's pipe is in none of them.
    assert!(
        text.contains("label=\"netpipe:a/side:w\", shape=\"ellipse\", style=\"filled,dashed\""),
        "{text}"
    );
    assert!(graph(&folder, &names).out().contains("<svg"));
}

#[test]
fn a_report_shows_how_it_ended_and_who_waited() {
    let folder = Folder::new();
    manifest(&folder, "a", &["netpipe:b:w, /out, 0, 0, 0, 9, 9999"]);
    manifest(&folder, "b", &["netpipe:a:r, /in, 0, 9, 9999, 0, 0"]);
    let channel =
        |alias, gets, puts| format!("{{\"alias\":\"{alias}\",\"get_bytes\":{gets},\"put_bytes\":{puts}}}");
    let lines = [
        format!(
            "{{\"manifest\":\"a.manifest\",\"exit_code\":0,\"guest_code\":3,\"state\":\"ok\",\"channels\":[{}]}}",
            channel("/out", 0, 2048)
        ),
        format!(
            "{{\"manifest\":\"b.manifest\",\"exit_code\":4,\"guest_code\":null,\"state\":\
             \"timeout: channel /in: read netpipe:a:r: waited for its writer\",\"channels\":[{}]}}",
            channel("/in", 1024, 0)
        ),
    ];
    folder.write("report", lines.join("\n"));
    let arguments = ["--format", "dot", "--report", "report", "a.manifest", "b.manifest"];
    let done = graph(&folder, &arguments);
    let text = done.succeeded().out();
    let pipe = "[label=\"/out to /in\\n1.00 KiB moved\\nwaited for\", color=\"orange\"";
    for words in [pipe, "exited with code 3\"", "read netpipe:a:r: waited for its writer\""] {
        assert!(text.contains(words), "{words}: {text}");
    }

    for (line, words) in [
        ("nonsense", "line 1: not JSON: write it with `zvfs run --report json --report-file FILE`"),
        ("{}", "line 1: not the report of a manifest"),
        ("{\"manifest\":\"z\",\"state\":\"ok\"}", "line 1: it is of z, which is not among the manifests"),
    ] {
        folder.write("report", line);
        graph(&folder, &arguments).failed(22, &["read the report report", words]);
    }
    fs::remove_file(folder.at("report")).unwrap();
    graph(&folder, &arguments).failed(2, &["read the report report"]);
}

#[test]
fn trees_and_exports_are_places_like_any_other() {
    let folder = Folder::new();
    manifest(&folder, "a", &[]);
    let mut text = fs::read_to_string(folder.at("a.manifest")).unwrap();
    text += "Tree = s3://bucket/data, /data, ro, 9, 2048\nScratch = 1m\nExport = sftp://host/out, /out, 9, 4096\n";
    folder.write("a.manifest", &text);
    let row = "{\"manifest\":\"a.manifest\",\"exit_code\":0,\"guest_code\":0,\"state\":\"ok\",\
               \"channels\":[{\"alias\":\"/data\",\"get_bytes\":1024}]}";
    folder.write("report", row);
    for (report, label) in
        [(&[][..], "/data\\n2.00 KiB in 9"), (&["--report", "report"], "/data\\n1.00 KiB moved")]
    {
        let done = graph(&folder, &[&["--format", "dot", "a.manifest"], report].concat());
        let text = done.succeeded().out();
        let arrow = format!("place0 -> guest0 [label=\"{label}\"");
        assert!(text.contains("label=\"s3://bucket/data\"") && text.contains(&arrow), "{text}");
        let out = "guest0 -> place1 [label=\"/out\\n";
        assert!(text.contains("label=\"sftp://host/out\"") && text.contains(out), "{text}");
    }
}

#[test]
fn a_bad_manifest_is_named() {
    let folder = Folder::new();
    manifest(&folder, "a", &[]);
    folder.write("bad.manifest", "Version = 1\n");
    graph(&folder, &["a.manifest", "bad.manifest"]).failed(14, &["bad.manifest: ", "MANIFEST"]);
    graph(&folder, &["none.manifest"]).failed(2, &["none.manifest: read the manifest"]);
    assert_eq!(graph(&folder, &[]).code, 64);
}
