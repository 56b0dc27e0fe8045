//! A job as text for Graphviz, and that text drawn.

use super::job::{ChannelEnd, Edge, Guest, Job, Node, Place};
use crate::exit::Failure;
use indicatif::HumanBytes;
use layout::backends::svg::SVGWriter;
use layout::gv::{DotParser, GraphBuilder};
use std::fmt::Write as _;
use vfs_core::Code;

/// The longest line of a label, in characters: a box grows with it.
const LINE_MAX: usize = 48;

/// One size for all, since the library writes several in an order of chance.
const FONT: &str = "fontsize=\"14\"";

/// The job in Graphviz's language.
pub fn text(job: &Job) -> String {
    let mut text = String::from("digraph job {\n    rankdir=LR;\n");
    for (number, guest) in job.guests.iter().enumerate() {
        statement(&mut text, &node(Node::Guest(number)), &of_guest(guest));
    }
    for (number, place) in job.places.iter().enumerate() {
        statement(&mut text, &node(Node::Place(number)), &of_place(place));
    }
    for edge in &job.edges {
        let arrow = format!("{} -> {}", node(edge.from), node(edge.to));
        statement(&mut text, &arrow, &of_edge(edge));
    }
    text.push_str("}\n");
    text
}

/// The same as SVG.
///
/// # Errors
/// The library does not take the text.
pub fn draw(dot: &str) -> Result<String, Failure> {
    let parsed = DotParser::new(dot).process();
    let graph = parsed.map_err(|error| Failure::new(Code::EINVAL, format!("draw the job: {error}")))?;
    let mut builder = GraphBuilder::new();
    builder.visit_graph(&graph);
    let mut svg = SVGWriter::new();
    builder.get().do_it(false, false, false, &mut svg);
    Ok(svg.finalize())
}

fn node(node: Node) -> String {
    match node {
        Node::Guest(number) => format!("guest{number}"),
        Node::Place(number) => format!("place{number}"),
    }
}

/// The attributes of a statement, in the order in which they are written.
type Attributes = Vec<(&'static str, String)>;

fn statement(text: &mut String, what: &str, attributes: &Attributes) {
    let attributes = attributes.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value)));
    let attributes: Vec<String> = attributes.chain([FONT.to_owned()]).collect();
    // Nothing fails that writes to a String.
    let _ = writeln!(text, "    {what} [{}];", attributes.join(", "));
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn of_guest(guest: &Guest) -> Attributes {
    let mut label = format!("{}\n{}", short(&guest.name), short(&guest.program));
    let mut fill = "lightblue";
    if let Some(ended) = &guest.ended {
        let _ = write!(label, "\n{}", short(&ended.state));
        fill = if ended.well { "palegreen" } else { "lightpink" };
    }
    vec![("label", label), ("shape", "box".into()), ("style", "filled".into()), ("fillcolor", fill.into())]
}

fn of_place(place: &Place) -> Attributes {
    let fill = if place.is_end { "lightyellow" } else { "white" };
    let style = if place.is_end { "filled,dashed" } else { "filled" };
    vec![
        ("label", short(&place.name)),
        ("shape", "ellipse".into()),
        ("style", style.into()),
        ("fillcolor", fill.into()),
    ]
}

fn of_edge(edge: &Edge) -> Attributes {
    let ends: Vec<&ChannelEnd> = edge.ends.iter().flatten().collect();
    let aliases: Vec<String> = ends.iter().map(|end| short(&end.alias)).collect();
    // Of a pipe what was read is what arrived.
    let moved = ends.iter().rev().find_map(|end| end.moved);
    let mut label = aliases.join(" to ");
    match (moved, ends.as_slice()) {
        (Some(bytes), _) => {
            let _ = write!(label, "\n{} moved", HumanBytes(bytes));
        }
        (None, [one]) => {
            let _ = write!(label, "\n{}", one.quota);
        }
        (None, [writes, reads, ..]) if writes.quota == reads.quota => {
            let _ = write!(label, "\n{}", writes.quota);
        }
        (None, [writes, reads, ..]) => {
            let _ = write!(label, "\n{}, {}", writes.quota, reads.quota);
        }
        (None, []) => {}
    }
    let waited = ends.iter().any(|end| end.waited);
    if waited {
        label.push_str("\nwaited for");
    }
    let colour = match edge {
        _ if waited => "orange",
        edge if edge.in_cycle => "red",
        _ => "black",
    };
    let mut attributes = vec![("label", label), ("color", colour.to_owned())];
    if edge.in_cycle {
        attributes.push(("penwidth", "3".into()));
    }
    attributes
}

/// The end of a long text tells more than its beginning.
fn short(text: &str) -> String {
    let count = text.chars().count();
    if count <= LINE_MAX {
        return text.to_owned();
    }
    let end: String = text.chars().skip(count - LINE_MAX + 1).collect();
    format!("\u{2026}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_a_statement() {
        let name = "a\"];\nb -> c [x=\"\\".to_owned();
        let guest = Guest { manifest: "m".into(), name: name.clone(), program: name.clone(), ended: None };
        let place = Place { name, is_end: true };
        let job = Job { guests: vec![guest], places: vec![place], edges: Vec::new() };
        let dot = text(&job);
        assert_eq!(dot.lines().count(), 5, "{dot}");
        let svg = draw(&dot).unwrap();
        assert!(svg.contains("a&quot;];") && svg.trim_end().ends_with("</svg>"), "{svg}");
    }

    #[test]
    fn a_long_text_is_known_by_its_end() {
        assert_eq!(short("x"), "x");
        let shortened = short(&format!("{}end", "x".repeat(100)));
        assert!(shortened.starts_with('\u{2026}') && shortened.ends_with("xend"));
        assert_eq!(shortened.chars().count(), LINE_MAX);
    }
}
