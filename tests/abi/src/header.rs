//! A scanner for the one header, so that a field or constant it gains is seen without anybody listing it.

use std::io;
use std::path::{Path, PathBuf};

/// The project's root.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder that a provider's author gives to the compiler.
pub fn include_folder() -> PathBuf {
    project().join("include")
}

/// What a header declares.
#[derive(Debug)]
pub struct Header {
    /// Structs with a body, in order.
    pub structs: Vec<Struct>,
    /// Names of enum constants and of macros that stand for a value, in order.
    pub constants: Vec<String>,
}

/// One struct with its fields' names, in order.
#[derive(Debug)]
pub struct Struct {
    /// Without the word `struct`.
    pub name: String,
    /// Names only; the compiler knows the types.
    pub fields: Vec<String>,
}

impl Header {
    /// Reads `include/zvfs_provider.h`.
    ///
    /// # Errors
    /// The file's.
    pub fn read() -> io::Result<Header> {
        let text = std::fs::read_to_string(include_folder().join("zvfs_provider.h"))?;
        Ok(Header::parse(&text))
    }

    /// Scans a header's text.
    pub fn parse(text: &str) -> Header {
        let text = without_comments(text);
        let mut constants: Vec<String> = text.lines().filter_map(value_macro).map(str::to_owned).collect();
        // A macro's body is no declaration.
        let code: String =
            text.lines().filter(|line| !line.starts_with('#')).flat_map(|l| [l, "\n"]).collect();
        let mut structs = Vec::new();
        for (keyword, body) in blocks(&code) {
            match keyword.split_whitespace().collect::<Vec<_>>()[..] {
                [.., "enum"] => constants
                    .extend(body.split(',').filter_map(|entry| identifiers(entry).next()).map(str::to_owned)),
                [.., "struct", name] => {
                    let fields = body.split(';').filter_map(field).map(str::to_owned).collect();
                    structs.push(Struct { name: name.to_owned(), fields });
                }
                _ => {}
            }
        }
        Header { structs, constants }
    }
}

/// A header's code.
pub fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    code + rest
}

/// The name of `#define NAME value`; none for `#define NAME`, `#define NAME(...)` and compiler words.
fn value_macro(line: &str) -> Option<&str> {
    let definition = line.strip_prefix("#define ")?;
    let (name, value) = definition.split_once(' ')?;
    let is_value = value.starts_with(|first: char| first.is_ascii_digit() || "(\"".contains(first))
        || value.starts_with("UINT64_")
        || value.starts_with("INT64_");
    (is_value && !name.contains('(')).then_some(name)
}

/// Each `{...}` with what stands before it since the last `;`, `{` or `}`. The braces of `extern "C"` and of functions are
/// entered like any other, so nothing inside is missed.
fn blocks(code: &str) -> Vec<(&str, &str)> {
    let opens = code.match_indices('{').map(|(at, _)| at);
    opens
        .map(|open| {
            let start = code[..open].rfind([';', '{', '}']).map_or(0, |at| at + 1);
            let close = code[open..].find('}').map_or(code.len(), |at| open + at);
            (code[start..open].trim(), &code[open + 1..close])
        })
        .collect()
}

fn field(declaration: &str) -> Option<&str> {
    let function = declaration.split_once("ZVFS_CALL *").map(|(_, after)| after);
    let until_array = declaration.split('[').next()?;
    function.map_or_else(|| identifiers(until_array).last(), |name| identifiers(name).next())
}

fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_fields_and_constants_of_every_form() {
        let header = Header::parse(
            "#define X_CALL __cdecl\n#define HAS(p) (p)\n#define ONE UINT64_C(1) /* a { brace */\n#define ID \"a/1\"\n\
             extern \"C\" {\nenum { /* words */ A = 1, B = 2 };\n\
             typedef struct t {\n uint64_t struct_size; const char *const *names;\n char text[10];\n\
             int32_t(ZVFS_CALL *f)(t *a, void(ZVFS_CALL *g)(void *));\n} t;\nstruct u { int v; };\n}",
        );
        assert_eq!(header.constants, ["ONE", "ID", "A", "B"]);
        let [t, u] = &header.structs[..] else { panic!("{header:?}") };
        assert_eq!(
            (t.name.as_str(), &t.fields[..]),
            ("t", &["struct_size", "names", "text", "f"].map(String::from)[..])
        );
        assert_eq!((u.name.as_str(), &u.fields[..]), ("u", &["v".to_owned()][..]));
    }
}
