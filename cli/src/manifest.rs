//! Reads a manifest, and puts its own folder where it asks for it.
//!
//! ZeroVM's manifests know absolute paths only, so that one which is to work wherever it lies could name nothing beside
//! itself. `${MANIFEST_DIR}` at the very beginning of a Program or of a channel's source is its folder. No legal manifest
//! changes its meaning: nothing that begins so is an absolute path or has a scheme.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use zvm::{BYTES_MAX, ExitCode, Failure, Manifest};

const TOKEN: &str = "${MANIFEST_DIR}";

/// Reads a manifest from a file, never more of it than the limit.
pub fn read(path: &Path) -> Result<Manifest, Failure> {
    let unreadable = |error: std::io::Error| {
        let error = vfs_core::Error::from(error);
        Failure::new(ExitCode::Missing, format!("read the manifest: {}", error.chain()))
    };
    // Nearly all fit, so that one read has all, and a second one finds the end.
    let mut bytes = Vec::with_capacity(4 << 10);
    let file = File::open(path).map_err(unreadable)?;
    file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) if bytes.len() <= BYTES_MAX && text.contains(TOKEN) => {
            let folder = folder(path).map_err(|reason| {
                Failure::new(ExitCode::Manifest, format!("MANIFEST: {TOKEN} cannot be used here: {reason}"))
            })?;
            Manifest::parse(expand(text, &folder).as_bytes())
        }
        _ => Manifest::parse(&bytes),
    }
}

/// The manifest's folder. What the grammar would take for its own is refused, rather than quoted by guess.
fn folder(path: &Path) -> Result<String, String> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::canonicalize(parent)
        .map_err(|error| format!("{}: {}", parent.display(), vfs_core::Error::from(error)))?;
    let shown = folder.display().to_string();
    let folder = folder.into_os_string().into_string().map_err(|_| format!("{shown} is not UTF-8"))?;
    match folder.chars().find(|character| character.is_control() || "\",;".contains(*character)) {
        Some(character) => Err(format!("{shown} contains `{}`", character.escape_default())),
        // `/` itself must not begin `//`.
        None => Ok(folder.trim_end_matches('/').to_owned()),
    }
}

fn expand(text: &str, folder: &str) -> String {
    text.split_inclusive('\n').map(|line| expand_line(line, folder)).collect()
}

/// Expands the token where a Program or a source begins; quotes may stand around a source.
fn expand_line<'a>(line: &'a str, folder: &str) -> Cow<'a, str> {
    let Some((key, value)) = line.split_once('=') else { return line.into() };
    if !matches!(key.trim(), "Program" | "Channel") || !value.contains(TOKEN) {
        return line.into();
    }
    let mut expanded = format!("{key}=");
    let mut rest = value;
    while let Some(at) = rest.find(TOKEN) {
        let (before, token) = rest.split_at(at);
        expanded.push_str(before);
        let before = expanded[key.len() + 1..].trim_end_matches([' ', '\t']);
        let before = before.strip_suffix('"').unwrap_or(before).trim_end_matches([' ', '\t']);
        let begins = before.is_empty() || before.ends_with(';') && !before.contains(',');
        expanded.push_str(if begins { folder } else { TOKEN });
        rest = &token[TOKEN.len()..];
    }
    expanded.push_str(rest);
    expanded.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_stands_where_a_descriptor_begins() {
        for (line, expanded) in [
            ("Program = ${MANIFEST_DIR}/p.wat\n", "Program = /f/p.wat\n"),
            (
                "Channel=${MANIFEST_DIR}/a;${MANIFEST_DIR}/b, /dev/stdin, 0\r\n",
                "Channel=/f/a;/f/b, /dev/stdin, 0\r\n",
            ),
            ("Channel = \"${MANIFEST_DIR}/a,b\", /x", "Channel = \"/f/a,b\", /x"),
            ("Channel = /srv/${MANIFEST_DIR}/a, /x", "Channel = /srv/${MANIFEST_DIR}/a, /x"),
            ("Channel = /srv/a, ${MANIFEST_DIR}", "Channel = /srv/a, ${MANIFEST_DIR}"),
            ("Env = HERE=${MANIFEST_DIR}", "Env = HERE=${MANIFEST_DIR}"),
            ("# Program = ${MANIFEST_DIR}", "# Program = ${MANIFEST_DIR}"),
            ("${MANIFEST_DIR}", "${MANIFEST_DIR}"),
        ] {
            assert_eq!(expand_line(line, "/f"), expanded);
        }
    }

    #[test]
    fn a_folder_that_the_grammar_would_split_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        let odd = outer.path().join("a,b");
        fs::create_dir(&odd).unwrap();
        assert!(folder(&odd.join("m")).unwrap_err().contains("contains `,`"));
        assert_eq!(folder(Path::new("/m")).unwrap(), "");
    }
}
