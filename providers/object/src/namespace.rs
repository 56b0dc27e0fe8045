//! Work on names: what is there, what lies below, and remove.

use crate::failure;
use crate::reader::{describe, head};
use crate::stores::Store;
use crate::target::Target;
use crate::transport::Unsaid;
use object_store::list::{PaginatedListOptions, PaginatedListResult};
use object_store::{Attributes, ObjectStoreExt};
use std::borrow::Cow;
use std::sync::Arc;
use vfs_core::{Code, Kind, Stat};
use zvfs_net::failure::{Attempt, Failure};

/// Pages without a key that a store may send one after the other.
const EMPTY_MAX: usize = 1000;

/// What is known of a name: an object, or a folder if keys lie below.
///
/// # Errors
/// ENOENT: neither. The store's.
pub async fn stat(store: Arc<dyn Store>, target: Target) -> Attempt<Stat> {
    let absent = match target.is_folder {
        true => Failure::new(Code::ENOENT, "no key lies below it"),
        false => match head(&*store, &target.key).await {
            Ok(found) => return Ok(found),
            Err(failure) if failure.code == Code::ENOENT => failure,
            Err(failure) => return Err(failure),
        },
    };
    match is_folder(&*store, &target).await? {
        true => Ok(Stat::of_kind(Kind::Directory)),
        false => Err(absent),
    }
}

/// Removes an object.
///
/// # Errors
/// ENOENT: there is none. EISDIR: keys lie below. The store's.
pub async fn remove(store: Arc<dyn Store>, target: Target) -> Attempt<()> {
    // Stores say of an absent object that it is removed.
    if stat(store.clone(), target.clone()).await?.kind == Kind::Directory {
        return Err(Failure::new(Code::EISDIR, "it is a folder: remove the objects in it"));
    }
    store.delete(&target.key).await.map_err(|error| failure::meaning(&error))
}

/// The next page of what lies below a folder that has something, or the last one; `from`: the page before it says where it begins.
///
/// # Errors
/// ENOENT, EACCES and the like: the store's. EPROTO: the list does not go on, or has no end.
pub async fn page(
    store: Arc<dyn Store>,
    target: Target,
    mut from: Option<String>,
) -> Attempt<PaginatedListResult> {
    for _ in 0..EMPTY_MAX {
        let options = PaginatedListOptions {
            delimiter: Some(Cow::Borrowed("/")),
            page_token: from.clone(),
            ..PaginatedListOptions::default()
        };
        let page = list(&*store, &target, options).await?;
        if unsaid(&page).is_cut {
            return Err(Failure::protocol("the store's list has more pages, and it does not say from where"));
        }
        match &page.page_token {
            Some(token) if from.as_ref() == Some(token) => {
                return Err(Failure::protocol("the store's list has a page that leads to itself"));
            }
            Some(token) if is_empty(&page) => from = Some(token.clone()),
            _ => return Ok(page),
        }
    }
    Err(Failure::protocol(format!("the store's list has {EMPTY_MAX} pages in a row without a key")))
}

/// Whether a page has no key, not even one that is left out or marks its folder.
pub fn is_empty(page: &PaginatedListResult) -> bool {
    page.result.objects.is_empty() && page.result.common_prefixes.is_empty() && left_out(page) == 0
}

/// How many keys and folders a page had that no descriptor can name.
pub fn left_out(page: &PaginatedListResult) -> u64 {
    unsaid(page).left_out
}

fn unsaid(page: &PaginatedListResult) -> Unsaid {
    page.result.extensions.get().copied().unwrap_or_default()
}

/// Why a folder without keys is none.
///
/// # Errors
/// Always, unless it is a bucket. ENOTDIR: it is an object. ENOENT: it is nothing.
pub async fn nothing_below(store: Arc<dyn Store>, target: Target) -> Attempt<()> {
    if target.key.is_root() {
        return Ok(());
    }
    match head(&*store, &target.key).await {
        Ok(_) => Err(Failure::new(Code::ENOTDIR, "it is an object")),
        Err(failure) => Err(failure),
    }
}

/// The names and what is known of them, as a folder has them.
pub fn entries<'a>(
    target: &'a Target,
    page: &'a PaginatedListResult,
) -> impl Iterator<Item = (&'a str, Stat)> {
    let folders = page.result.common_prefixes.iter().map(|path| (path, Stat::of_kind(Kind::Directory)));
    let objects = page.result.objects.iter().map(|meta| (&meta.location, describe(meta, &Attributes::new())));
    // An object of the folder's own name marks it, and is not in it.
    let below = |path: &'a object_store::path::Path| path.as_ref().strip_prefix(target.prefix().as_str());
    folders
        .chain(objects)
        .filter_map(move |(path, stat)| Some((below(path)?, stat)))
        .filter(|(name, _)| !name.is_empty())
}

async fn is_folder(store: &dyn Store, target: &Target) -> Attempt<bool> {
    let options = PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() };
    let found = list(store, target, options).await?;
    Ok(target.key.is_root() || !is_empty(&found))
}

async fn list(
    store: &dyn Store,
    target: &Target,
    options: PaginatedListOptions,
) -> Attempt<PaginatedListResult> {
    let prefix = target.prefix();
    let prefix = (!prefix.is_empty()).then_some(prefix.as_str());
    store.list_paginated(prefix, options).await.map_err(|error| failure::meaning(&error))
}
