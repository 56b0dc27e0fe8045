# SPDX-License-Identifier: Apache-2.0
"""An fsspec file system over any descriptor: pandas.read_csv("zvfs://https://host/data.csv").

What follows zvfs:// is the descriptor: zvfs://file:/srv/x, zvfs://s3://bucket/key, zvfs:///srv/x. Storage options say which
providers may load, as those of zvfs.Registry: file, text, providers, provider_path; and timeout, in seconds, for each call that waits.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from datetime import datetime, timezone
from errno import ELOOP, ENOENT
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from fsspec.implementations.local import make_path_posix
from fsspec.spec import AbstractFileSystem

from ._abi import ENOTSUP
from ._registry import Registry, default
from ._stat import Stat

_CONFIGURATION = ("file", "text", "providers", "provider_path")

# How fsspec's own files are to read ahead, and when they end: dask gives them for whatever it opens.
_HINTS = ("autocommit", "cache_type", "cache_options", "default_cache", "size")


class ZvfsFileSystem(AbstractFileSystem):
    """fsspec's protocol `zvfs`. Names are descriptors."""

    protocol = "zvfs"
    root_marker = ""

    def __init__(self, timeout: float | None = None, **options: Any) -> None:
        super().__init__(timeout=timeout, **options)
        chosen = {name: options[name] for name in _CONFIGURATION if name in options}
        self._own = Registry(**chosen) if chosen else None
        self._timeout = timeout

    @property
    def registry(self) -> Registry:
        """The providers that this file system uses."""
        return self._own or default()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, (list, tuple)):
            return [cls._strip_protocol(one) for one in path]
        path = os.fspath(path)
        path = path.removeprefix("zvfs://")
        return path if path.endswith("://") or path in ("/", "file:/") else path.rstrip("/")

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        name = self._strip_protocol(path)
        return _info(name, self.registry.stat(name, timeout=self._timeout))

    def walk(self, path: str, *arguments: Any, **options: Any) -> Any:
        """As fsspec's own, and with it find, glob, du and get(recursive=True). Goes into no folder of which the listing that it is in does
        not say that it is one, since it may be a link, also to a folder above; `links=True` goes into those as well."""
        options.setdefault("links", False)
        return super().walk(path, *arguments, **options)

    def ls(self, path: str, detail: bool = True, links: bool = True, **_: Any) -> list[Any]:
        """As fsspec's own. `links=False` leaves out what `walk` does, with a warning."""
        folder = self._strip_protocol(path)
        try:
            entries = self.registry.list(folder, timeout=self._timeout)
        except NotADirectoryError:
            return [self.info(folder)] if detail else [folder]
        names = [(_below(folder, entry.name), entry.stat) for entry in entries]
        if not detail:
            return sorted(name for name, _ in names)
        listed = [self._listed(name, stat, links) for name, stat in names]
        found = [one for one in listed if one is not None]
        return sorted(found, key=lambda one: str(one["name"]))

    def _listed(self, name: str, stat: Stat | None, links: bool) -> dict[str, Any] | None:
        """What is told of a name in a listing; None: a folder that may be a link, where those are left out."""
        if stat is not None and (links or stat.kind != "unknown"):
            return _info(name, stat)
        try:
            info = self.info(name)
        except OSError as failure:
            if failure.errno not in (ENOENT, ELOOP):
                raise
            info = {"name": name, "size": None, "type": "other"}
        if links or info["type"] not in ("directory", "other"):
            return info
        why = "it may be a link to a folder; links=True goes into those"
        if info["type"] == "other":
            why = "it leads to no file"
        warnings.warn(f"{name} is left out: {why}", stacklevel=2)
        return None

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> Any:
        for hint in _HINTS:
            options.pop(hint, None)
        options.setdefault("timeout", self._timeout)
        buffering = block_size if block_size and block_size > 1 else -1
        try:
            file = self.registry.open(path, mode, buffering, **options)
        except FileNotFoundError:
            parent = self._parent(path)
            if mode[0] not in "wxa" or parent in ("", path):
                raise
            # As in an object store, and as zvfs cp has it: zarr, and Arrow's datasets, make no folders.
            self.makedirs(parent, exist_ok=True)
            file = self.registry.open(path, mode, buffering, **options)
        # fsspec's own files say nothing when they are given up, and Arrow leaves those that it has read to the collector.
        file.raw._warns = "r" not in mode  # type: ignore[attr-defined]
        return file

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        with self._open(self._strip_protocol(path), "rb") as file:
            first, last = start or 0, end
            if first < 0 or (last is not None and last < 0):
                first, last, _step = slice(start, end).indices(file.seek(0, os.SEEK_END))
                file.seek(first)
            elif first:
                file.seek(first)
            content: bytes = file.read(-1 if last is None else max(last - first, 0))
            return content

    def put(self, lpath: Any, rpath: Any, *arguments: Any, **options: Any) -> None:
        """As fsspec's own. A name below `rpath` is encoded, as ls gives it."""
        base = self._strip_protocol(rpath) if isinstance(rpath, str) else None
        AbstractFileSystem.put(_Named(self, base), lpath, rpath, *arguments, **options)

    def get(self, rpath: Any, lpath: Any, *arguments: Any, **options: Any) -> None:
        """As fsspec's own. A name below `lpath` is that of the file itself."""
        base = make_path_posix(lpath) if isinstance(lpath, str) else None
        AbstractFileSystem.get(_Named(self, base), rpath, lpath, *arguments, **options)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        with self._open(self._strip_protocol(path), "xb" if mode == "create" else "wb") as file:
            file.write(value)

    def rm_file(self, path: str) -> None:
        self.registry.remove(self._strip_protocol(path), timeout=self._timeout)

    def _rm(self, path: str) -> None:
        self.rm_file(path)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        if maxdepth is not None:
            raise NotImplementedError("remove to a depth: a folder goes with all that is in it, or not at all")
        for name in self.expand_path(path):
            try:
                # Of a link this removes the link; a folder's name it leaves alone.
                self.rm_file(name)
            except IsADirectoryError:
                if not recursive:
                    raise
                if self._may_be_a_link(name):
                    why = "it may be a link to a folder: name the folder itself, or remove the link where it is"
                    raise OSError(ELOOP, f"rm {name}: {why}") from None
                self._rm_folder(name)

    def _may_be_a_link(self, name: str) -> bool:
        """Whether the listing that a folder is in does not say that it is one: not every server tells a link from what it leads to."""
        above, _, last = name.rpartition("/")
        if not above or above.endswith((":", "/")):
            return False
        sought = os.fsencode(last) if name.startswith("/") else unquote_to_bytes(last)
        entries = self.registry.list(above, timeout=self._timeout)
        found = [entry.stat for entry in entries if os.fsencode(entry.name) == sought]
        return any(stat is None or stat.kind != "directory" for stat in found)

    def _rm_folder(self, folder: str) -> None:
        for entry in self.registry.list(folder, timeout=self._timeout):
            name = _below(folder, entry.name)
            # What a listing says nothing of may be a link to a folder, and what is in that is not to be removed.
            if entry.stat is not None and entry.stat.kind == "directory":
                self._rm_folder(name)
            else:
                self.rm_file(name)
        self.rmdir(folder)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        name = self._strip_protocol(path)
        try:
            self.registry.make_folder(name, timeout=self._timeout)
        except FileNotFoundError:
            parent = self._parent(name)
            if not create_parents or parent in ("", name):
                raise
            self.makedirs(parent, exist_ok=True)
            self.registry.make_folder(name, timeout=self._timeout)
        except OSError as error:
            # ENOTSUP: its folders are there as soon as a name lies below.
            if error.errno != ENOTSUP:
                raise

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        try:
            self.mkdir(path)
        except OSError:
            # Not every server says that it is there.
            if not exist_ok or not self.isdir(path):
                raise

    def rmdir(self, path: str) -> None:
        try:
            self.registry.remove_folder(self._strip_protocol(path), timeout=self._timeout)
        except OSError as error:
            if error.errno != ENOTSUP:
                raise

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        if self.isdir(path1):
            return self.makedirs(path2, exist_ok=True)
        with self._open(self._strip_protocol(path1), "rb") as source:
            with self._open(self._strip_protocol(path2), "wb") as target:
                while data := source.read(1 << 20):
                    target.write(data)

    def modified(self, path: str) -> datetime:
        ns = self.registry.stat(self._strip_protocol(path), timeout=self._timeout).modified_ns
        if ns is None:
            raise NotImplementedError(f"modified {path}: its provider knows no time")
        return datetime.fromtimestamp(ns / 1e9, tz=timezone.utc)

    def ukey(self, path: str) -> str:
        stat = self.registry.stat(self._strip_protocol(path), timeout=self._timeout)
        return stat.version or f"{stat.size}-{stat.modified_ns}"

    def sign(self, path: str, expiration: int = 100, **_: Any) -> str:
        raise NotImplementedError("a descriptor cannot be signed")


class _Named:
    """A file system in whose put and get what lies below a base is named for where it goes. fsspec's own take one name for the
    other, though one is a descriptor and the other is none. Without a base the caller named all targets."""

    def __init__(self, fs: ZvfsFileSystem, base: str | None) -> None:
        self._fs = fs
        self._base = base

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        if not rpath.startswith("/"):
            rpath = self._named(rpath, lambda name: quote(os.fsencode(name)))
        self._fs.put_file(lpath, rpath, **options)

    def get_file(self, rpath: str, lpath: Any, **options: Any) -> None:
        if isinstance(lpath, str) and not rpath.startswith("/"):
            lpath = self._named(lpath, lambda name: os.fsdecode(unquote_to_bytes(name)))
        self._fs.get_file(rpath, lpath, **options)

    def _named(self, path: str, name: Callable[[str], str]) -> str:
        if self._base is None or not path.startswith(self._base):
            return path
        return self._base + name(path[len(self._base) :])


def _info(name: str, stat: Stat) -> dict[str, Any]:
    kind = {"regular": "file", "directory": "directory"}.get(stat.kind, "other")
    if stat.kind == "unknown" and stat.size is not None:
        kind = "file"
    return {"name": name, "size": stat.size, "type": kind, "mtime": _seconds(stat.modified_ns), "version": stat.version}


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9


def _below(folder: str, name: str) -> str:
    """The descriptor of a name in a folder. A bare path is never decoded; what has a scheme is."""
    return f"{folder.rstrip('/')}/{name if folder.startswith('/') else quote(os.fsencode(name))}"
