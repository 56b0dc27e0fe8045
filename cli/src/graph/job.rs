//! The guests of a job, what they reach, and what runs between them.

use crate::pipes::{End, Pipe, ends};
use crate::text;
use indicatif::HumanBytes;
use netpipe::Role;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use vfs_core::{Configuration, Descriptor, Shown};
use zvm::{Limits, Manifest};

/// What a picture shows.
#[derive(Debug, Default)]
pub struct Job {
    pub guests: Vec<Guest>,
    /// What is no guest: files, services, and ends of pipes that no manifest here has.
    pub places: Vec<Place>,
    pub edges: Vec<Edge>,
}

/// One manifest.
#[derive(Debug)]
pub struct Guest {
    /// As it was written.
    pub manifest: PathBuf,
    /// The manifest's Node, else the manifest's file name.
    pub name: String,
    /// The program's own name.
    pub program: String,
    /// How it ended: the report's state.
    pub ended: Option<Ended>,
}

/// How a guest ended.
#[derive(Debug)]
pub struct Ended {
    pub state: String,
    pub well: bool,
}

#[derive(Debug)]
pub struct Place {
    pub name: String,
    /// The other end of a pipe.
    pub is_end: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    Guest(usize),
    Place(usize),
}

/// Bytes go from one to the other.
#[derive(Debug)]
pub struct Edge {
    pub from: Node,
    pub to: Node,
    /// The channel, tree or export that writes, at `from`, and the one that reads, at `to`, where these are guests.
    pub ends: [Option<ChannelEnd>; 2],
    /// Whether it is a pipe on a cycle.
    pub in_cycle: bool,
}

/// One guest's side of an arrow.
#[derive(Debug)]
pub struct ChannelEnd {
    pub alias: String,
    /// Its quotas in that direction, for people.
    pub quota: String,
    /// How many bytes it moved, by the report.
    pub moved: Option<u64>,
    /// Whether the guest waited for it when its time was over.
    pub waited: bool,
}

/// Numbers the places by what they are.
struct Places {
    list: Vec<Place>,
    numbers: HashMap<String, usize>,
}

impl Job {
    /// Of manifests at these paths, under an operator's configuration, for a run that may have a name.
    pub fn of(
        paths: &[PathBuf],
        manifests: &[Manifest],
        configuration: &Configuration,
        job: Option<&str>,
    ) -> Job {
        let guests = paths.iter().zip(manifests).map(|(path, manifest)| guest(path, manifest)).collect();
        let mut places = Places { list: Vec::new(), numbers: HashMap::new() };
        let ends = ends(manifests, configuration, job);
        let mut edges = between(&ends, &mut places);
        let is_pipe =
            |at: usize, source: &str| ends.iter().any(|end| end.manifest == at && end.descriptor == source);
        for (at, (path, manifest)) in paths.iter().zip(manifests).enumerate() {
            for channel in &manifest.channels {
                for source in channel.sources.iter().filter(|source| !is_pipe(at, source)) {
                    let Some(name) = place_name(source, path) else { continue };
                    let place = Node::Place(places.number(name, false));
                    edges.extend(to_and_from(Node::Guest(at), place, &channel.alias, channel.limits));
                }
            }
            let trees = manifest.trees.iter().map(|tree| (&tree.source, &tree.path, tree.limits));
            let exports = manifest.exports.iter().map(|export| (&export.target, &export.path, export.limits));
            for (source, alias, limits) in trees.chain(exports) {
                let Some(name) = place_name(source, path) else { continue };
                let place = Node::Place(places.number(name, false));
                edges.extend(to_and_from(Node::Guest(at), place, alias, limits));
            }
        }
        Job { guests, places: places.list, edges }
    }
}

fn guest(path: &Path, manifest: &Manifest) -> Guest {
    let stem = || path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let name = manifest.node.clone().unwrap_or_else(stem);
    let program = Shown(&manifest.program).to_string();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    Guest { manifest: path.to_owned(), name: text::printable(&name), program, ended: None }
}

/// The arrows of the pipes: from each writer to each reader, or to where none is known.
fn between(ends: &[End<'_>], places: &mut Places) -> Vec<Edge> {
    let mut pipes: BTreeMap<&Pipe, [Vec<&End<'_>>; 2]> = BTreeMap::new();
    for end in ends {
        pipes.entry(&end.pipe).or_default()[usize::from(end.role == Role::Reader)].push(end);
    }
    let mut edges = Vec::new();
    for [writers, readers] in pipes.values() {
        if writers.is_empty() || readers.is_empty() {
            for end in writers.iter().chain(readers) {
                let name = Shown(end.descriptor).to_string();
                let place = Node::Place(places.number(name, true));
                let channel = end.channel;
                edges.extend(to_and_from(Node::Guest(end.manifest), place, &channel.alias, channel.limits));
            }
        }
        for (writer, reader) in writers.iter().flat_map(|writer| readers.iter().map(move |it| (writer, it))) {
            edges.push(Edge {
                from: Node::Guest(writer.manifest),
                to: Node::Guest(reader.manifest),
                ends: [
                    Some(writes(&writer.channel.alias, writer.channel.limits)),
                    Some(reads(&reader.channel.alias, reader.channel.limits)),
                ],
                in_cycle: false,
            });
        }
    }
    edges
}

/// The arrows of a channel, tree or export between a guest and what is none: one for each direction that it has.
fn to_and_from(guest: Node, place: Node, alias: &str, limits: Limits) -> Vec<Edge> {
    let mut edges = Vec::new();
    if limits.readable() {
        let ends = [None, Some(reads(alias, limits))];
        edges.push(Edge { from: place, to: guest, ends, in_cycle: false });
    }
    if limits.writable() {
        let ends = [Some(writes(alias, limits)), None];
        edges.push(Edge { from: guest, to: place, ends, in_cycle: false });
    }
    edges
}

fn reads(alias: &str, limits: Limits) -> ChannelEnd {
    end(alias, limits.gets, limits.get_size)
}

fn writes(alias: &str, limits: Limits) -> ChannelEnd {
    end(alias, limits.puts, limits.put_size)
}

fn end(alias: &str, calls: u64, bytes: u64) -> ChannelEnd {
    let quota = format!("{} in {calls}", HumanBytes(bytes));
    ChannelEnd { alias: text::printable(alias), quota, moved: None, waited: false }
}

/// What a source is called: a file in the manifest's folder from there. `None`: it is left out.
fn place_name(source: &str, manifest: &Path) -> Option<String> {
    let descriptor = Descriptor::parse(source).ok();
    let path = match &descriptor {
        Some(descriptor) if descriptor.scheme() == "null" => return None,
        Some(descriptor) if descriptor.scheme() == "file" => descriptor.rest(),
        Some(_) => return Some(Shown(source).to_string()),
        None => source,
    };
    if matches!(path, "/dev/null" | "/dev/stderr") {
        return None;
    }
    let manifest = manifest.canonicalize().ok();
    let folder = manifest.as_deref().and_then(Path::parent);
    let below = folder.and_then(|folder| Path::new(path).strip_prefix(folder).ok()?.to_str());
    Some(text::printable(below.unwrap_or(path)))
}

impl Places {
    fn number(&mut self, name: String, is_end: bool) -> usize {
        *self.numbers.entry(name.clone()).or_insert_with(|| {
            self.list.push(Place { name, is_end });
            self.list.len() - 1
        })
    }
}
