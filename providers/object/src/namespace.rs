//! Work on names: what is there, what lies below, and remove.

use crate::failure;
use crate::reader::{describe, head};
use crate::stores::Store;
use crate::target::Target;
use object_store::ObjectStoreExt;
use object_store::list::{PaginatedListOptions, PaginatedListResult};
use std::borrow::Cow;
use std::sync::Arc;
use vfs_core::{Code, Kind, Stat};
use zvfs_net::failure::{Attempt, Failure};

/// What is known of a name: an object, or a folder if keys lie below.
///
/// # Errors
/// ENOENT: neither. The store's.
pub async fn stat(store: Arc<dyn Store>, target: Target) -> Attempt<Stat> {
    let absent = match target.is_folder {
        true => Failure::new(Code::ENOENT, "no key lies below it"),
        false => match head(&*store, &target.key).await {
            Ok(meta) => return Ok(describe(&meta)),
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

/// A page of what lies below a folder; `from`: the page before it says where it begins.
///
/// # Errors
/// ENOENT, EACCES and the like: the store's.
pub async fn page(
    store: Arc<dyn Store>,
    target: Target,
    from: Option<String>,
) -> Attempt<PaginatedListResult> {
    let options = PaginatedListOptions {
        delimiter: Some(Cow::Borrowed("/")),
        page_token: from,
        ..PaginatedListOptions::default()
    };
    list(&*store, &target, options).await
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
    let objects = page.result.objects.iter().map(|meta| (&meta.location, describe(meta)));
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
    Ok(target.key.is_root() || !found.result.objects.is_empty())
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
