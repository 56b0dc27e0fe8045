//! Lists that are cut, go round in circles, have no end, or have keys that nobody can name.

use crate::common::*;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use vfs_core::{Code, Kind, OpenFlags, OpenOptions, Registry, Result};
use zvfs_http_servers::{Answer, FaultServer, Request};

const FOLDER: &str = "s3://bucket/folder";

fn options() -> OpenOptions {
    OpenOptions::new(OpenFlags::empty())
}

/// A store that answers a list with a page, which `page` makes of the token and of how many pages were asked for.
fn listing(page: impl Fn(Option<&str>, usize) -> String + Send + Sync + 'static) -> FaultServer {
    let pages = AtomicUsize::new(0);
    FaultServer::http(move |request, peer| {
        let page = page(token(request), pages.fetch_add(1, Ordering::Relaxed));
        peer.send(&Answer::new(200).body(format!("<ListBucketResult>{page}</ListBucketResult>")))
    })
}

fn token(request: &Request) -> Option<&str> {
    let (_, query) = request.target.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("continuation-token="))
}

fn key(name: &str) -> String {
    format!(
        "<Contents><Key>folder/{name}</Key><Size>1</Size><LastModified>2020-01-01T00:00:00Z</LastModified></Contents>"
    )
}

fn more(token: &str) -> String {
    format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>")
}

#[track_caller]
fn list(registry: &Registry) -> (Vec<String>, Result<()>) {
    let registry = registry.clone();
    in_time(move || {
        let mut names = Vec::new();
        let listed = registry.list(FOLDER, &options(), &mut |entry| {
            names.push(entry.name.to_owned());
            ControlFlow::Continue(())
        });
        (names, listed)
    })
}

#[test]
fn a_list_that_is_cut_is_eproto() {
    let server = listing(|_, _| key("a") + "<IsTruncated>true</IsTruncated>");
    refused(list(&quick(&server)).1, Code::EPROTO);
}

#[test]
fn a_page_that_leads_to_itself_is_eproto() {
    let server = listing(|_, _| key("a") + &more("again"));
    refused(list(&quick(&server)).1, Code::EPROTO);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn empty_pages_are_passed_over_and_have_an_end() {
    let server = listing(|_, page| match page {
        5 => key("a"),
        page => more(&page.to_string()),
    });
    let (names, listed) = list(&quick(&server));
    listed.unwrap();
    assert_eq!(names, ["a"]);
    let server = listing(|_, page| more(&page.to_string()));
    refused(list(&quick(&server)).1, Code::EPROTO);
    assert_eq!(server.requests().len(), 1000);
}

#[test]
fn keys_that_nobody_can_name_are_left_out_and_told_to_the_log() {
    let server = listing(|token, _| match token {
        None => key("a") + &key("nl&#10;x") + &key("b/../c") + &more("next"),
        Some(_) => key("/d") + &key("e"),
    });
    let (tell, told) = channel();
    let log = move |_, text: &str| tell.send(text.to_owned()).unwrap();
    let (names, listed) = list(&told_to(log, &server.url(""), QUICK));
    listed.unwrap();
    assert_eq!(names, ["a", "e"]);
    // What a process says may come after its answer.
    let first = told.recv_timeout(SLACK).unwrap();
    assert!(first.contains("left out 3 of its entries"), "{first}");
    assert_eq!(told.try_iter().next(), None);
}

#[test]
fn a_folder_of_keys_that_nobody_can_name_is_one() {
    let server = listing(|token, _| match token {
        None => key(".."),
        Some(_) => panic!("there is no second page"),
    });
    let registry = quick(&server);
    assert_eq!(registry.stat(&format!("{FOLDER}/"), &options()).unwrap().kind, Kind::Directory);
    let (names, listed) = list(&registry);
    listed.unwrap();
    assert!(names.is_empty());
}
