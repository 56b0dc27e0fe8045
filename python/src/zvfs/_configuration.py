# SPDX-License-Identifier: Apache-2.0
"""Which providers may load, from where, with which settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes import byref, c_void_p
from typing import Union

from ._calls import call
from ._library import provider_folder, zvfs
from ._text import to_c

Settings = Union[str, int, bool, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]]]
"""A setting's value: text as in zvfs.toml ("64k", "30s"), a number, True or False, a path, or a list of texts or paths."""


@contextmanager
def configuration(
    file: str | os.PathLike[str] | None,
    text: str | None,
    providers: Mapping[str, Mapping[str, Settings]] | None,
    provider_path: Iterable[str | os.PathLike[str]],
) -> Iterator[c_void_p]:
    """Makes a configuration of at most one of file, text and providers, and frees it afterwards."""
    if sum(given is not None for given in (file, text, providers)) > 1:
        raise ValueError("file, text, providers: give one of them")
    made = c_void_p()
    if text is not None:
        call(zvfs().zvfs_configuration_parse, to_c(text, "text"), byref(made))
    elif providers is not None:
        call(zvfs().zvfs_configuration_new, byref(made))
    else:
        call(zvfs().zvfs_configuration_find, None if file is None else to_c(file, "file"), byref(made))
    try:
        folders = list(provider_path)
        if providers is not None and not folders:
            folders = [provider_folder()]
        for folder in folders:
            call(zvfs().zvfs_configuration_add_provider_path, made, to_c(folder, "provider_path"))
        for provider, settings in (providers or {}).items():
            _allow(made, provider, settings)
        yield made
    finally:
        zvfs().zvfs_configuration_free(made)


def texts(value: Settings) -> list[str]:
    """A value as zvfs.toml has it, one text for each element of a list."""
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, (str, int)):
        return [str(value)]
    if isinstance(value, os.PathLike):
        return [os.fspath(value)]
    return [os.fspath(element) for element in value]


def _allow(made: c_void_p, provider: str, settings: Mapping[str, Settings]) -> None:
    name = to_c(provider, "provider")
    call(zvfs().zvfs_configuration_allow, made, name)
    for setting, value in settings.items():
        single = isinstance(value, (str, int, os.PathLike))
        put = zvfs().zvfs_configuration_set if single else zvfs().zvfs_configuration_append
        for text in texts(value):
            call(put, made, name, to_c(setting, "setting"), to_c(text, "setting"))
