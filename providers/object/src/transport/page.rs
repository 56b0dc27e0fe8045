//! A page of a list, looked at before the library reads it. The library refuses a whole page for one key that it cannot express,
//! and takes a page for the last one where the store does not say how the list goes on.

use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, escape};

/// What a page has that the library does not tell; it comes with the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsaid {
    /// Keys and folders that no descriptor can name: with an empty part, `.`, `..` or a control character.
    pub left_out: u64,
    /// More follows, and the store does not say from where.
    pub is_cut: bool,
}

/// Removes from a page what no descriptor can name. What is no XML stays as it is: the library refuses it.
pub fn judge(page: Bytes) -> (Bytes, Unsaid) {
    str::from_utf8(&page).ok().and_then(read).map_or((page.clone(), Unsaid::default()), |read| read.of(&page))
}

/// What was found in a page.
#[derive(Default)]
struct Found {
    /// Where entries stand that are left out: in order, none in another.
    left_out: Vec<std::ops::Range<usize>>,
    is_truncated: bool,
    has_token: bool,
}

impl Found {
    fn of(self, page: &Bytes) -> (Bytes, Unsaid) {
        let is_cut = self.is_truncated && !self.has_token;
        let unsaid = Unsaid { left_out: self.left_out.len() as u64, is_cut };
        if self.left_out.is_empty() {
            return (page.clone(), unsaid);
        }
        let (mut kept, mut from) = (BytesMut::with_capacity(page.len()), 0);
        for entry in self.left_out {
            kept.extend_from_slice(&page[from..entry.start]);
            from = entry.end;
        }
        kept.extend_from_slice(&page[from..]);
        (kept.freeze(), unsaid)
    }
}

/// An entry of the list that is being read.
struct Entry {
    start: usize,
    depth: usize,
    name: String,
    /// Azure's way to write what XML cannot: the name stands there in another form.
    is_encoded: bool,
}

/// Reads a page; `None`: it is no XML.
fn read(page: &str) -> Option<Found> {
    let mut reader = Reader::from_str(page);
    let (mut found, mut entry, mut text) = (Found::default(), None::<Entry>, String::new());
    // How many elements are open.
    let mut depth = 0_usize;
    loop {
        let start = usize::try_from(reader.buffer_position()).ok()?;
        match reader.read_event().ok()? {
            Event::Start(element) => {
                depth += 1;
                text.clear();
                match &mut entry {
                    Some(entry) if is_name(element.local_name().as_ref()) && depth == entry.depth + 1 => {
                        entry.is_encoded = is_encoded(&element);
                    }
                    None if is_entry(element.local_name().as_ref()) => {
                        entry = Some(Entry { start, depth, name: String::new(), is_encoded: false });
                    }
                    _ => {}
                }
            }
            Event::Text(piece) => text += &piece.decode().ok()?,
            Event::CData(piece) => text += &piece.decode().ok()?,
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(character) => text.push(character),
                None => text += escape::resolve_predefined_entity(&reference.decode().ok()?)?,
            },
            Event::End(element) => {
                match (element.local_name().as_ref(), &mut entry) {
                    (name, Some(entry)) if is_name(name) && depth == entry.depth + 1 => {
                        entry.name = std::mem::take(&mut text);
                    }
                    (_, Some(ended)) if depth == ended.depth => {
                        if ended.is_encoded || !can_be_named(&ended.name) {
                            found.left_out.push(ended.start..usize::try_from(reader.buffer_position()).ok()?);
                        }
                        entry = None;
                    }
                    (b"IsTruncated", None) => found.is_truncated = text.trim() == "true",
                    (b"NextContinuationToken", None) => found.has_token = !text.is_empty(),
                    _ => {}
                }
                depth = depth.checked_sub(1)?;
            }
            Event::Eof => return Some(found),
            _ => {}
        }
    }
}

/// Whether an element is an entry of a list: S3's and Google's, or Azure's.
fn is_entry(element: &[u8]) -> bool {
    matches!(element, b"Contents" | b"CommonPrefixes" | b"Blob" | b"BlobPrefix")
}

/// Whether an element, in an entry, is its name.
fn is_name(element: &[u8]) -> bool {
    matches!(element, b"Key" | b"Prefix" | b"Name")
}

fn is_encoded(name: &BytesStart<'_>) -> bool {
    let attribute = name.try_get_attribute("Encoded").ok().flatten();
    attribute.is_some_and(|attribute| attribute.value.as_ref() == b"true")
}

/// Whether a key, or a folder with its slash, is what the library would read it as.
fn can_be_named(key: &str) -> bool {
    let name = key.strip_suffix('/').unwrap_or(key);
    Path::parse(name).is_ok_and(|path| path.as_ref() == name && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(page: &str) -> (String, Unsaid) {
        let (page, unsaid) = judge(Bytes::copy_from_slice(page.as_bytes()));
        (String::from_utf8(page.to_vec()).unwrap(), unsaid)
    }

    #[test]
    fn what_no_descriptor_can_name_is_left_out_and_counted() {
        let good = [
            "<Contents><Key>a/b c&amp;&#252;</Key><Owner><ID>1</ID></Owner></Contents>",
            "<CommonPrefixes><Prefix>a/d/</Prefix></CommonPrefixes>",
            "<Blob><Name>x</Name><Metadata><Name>..</Name></Metadata></Blob>",
        ];
        let bad = [
            "<Contents><Key>a/nl&#10;x</Key></Contents>",
            "<Contents><Key>a/nl\nx</Key></Contents>",
            "<Contents><Key><![CDATA[a/../b]]></Key></Contents>",
            "<Contents><Key>/a</Key></Contents>",
            "<Contents><Key>a//b</Key></Contents>",
            "<Contents><Size>1</Size></Contents>",
            "<CommonPrefixes><Prefix>a//</Prefix></CommonPrefixes>",
            "<CommonPrefixes><Prefix>/</Prefix></CommonPrefixes>",
            "<BlobPrefix><Name>./</Name></BlobPrefix>",
            "<Blob><Name Encoded=\"true\">a%0A</Name></Blob>",
        ];
        let head = "<?xml version=\"1.0\"?>\n<R xmlns=\"x\"><Prefix>a//</Prefix>";
        for bad in bad {
            let page = format!("{head}{}{bad}{}{bad}{}</R>", good[0], good[1], good[2]);
            let unsaid = Unsaid { left_out: 2, is_cut: false };
            assert_eq!(judged(&page), (format!("{head}{}</R>", good.concat()), unsaid), "{bad}");
        }
    }

    #[test]
    fn a_page_that_is_cut_says_so() {
        for (page, is_cut) in [
            ("<R><IsTruncated>true</IsTruncated></R>", true),
            ("<R><IsTruncated>true</IsTruncated><NextContinuationToken/></R>", true),
            ("<R><IsTruncated>true</IsTruncated><NextContinuationToken></NextContinuationToken></R>", true),
            ("<R><NextContinuationToken>t</NextContinuationToken><IsTruncated>true</IsTruncated></R>", false),
            ("<R><IsTruncated>false</IsTruncated></R>", false),
            ("<R></R>", false),
        ] {
            assert_eq!(judged(page).1.is_cut, is_cut, "{page}");
        }
    }

    #[test]
    fn what_is_no_xml_stays_as_it_is() {
        for page in ["", "no", "<R><Contents><Key>..</Key>", "<R></S>", "<R>&nbsp;</R>"] {
            assert_eq!(judged(page), (page.to_owned(), Unsaid::default()));
        }
    }
}
