# SPDX-License-Identifier: Apache-2.0
"""The structs and numbers of zvfs_provider.h, zvfs.h and zvm_session.h that this package uses, by the headers' own names."""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_char_p, c_int32, c_int64, c_uint32, c_uint64, c_void_p

ENOENT, EAGAIN, EBUSY, EPIPE, ENOTSUP = 2, 11, 16, 32, 95

ERROR_RETRYABLE = 1

OPEN_READ, OPEN_WRITE, OPEN_CREATE, OPEN_TRUNCATE = 0x1, 0x2, 0x4, 0x8
OPEN_EXCLUSIVE, OPEN_APPEND, OPEN_ATOMIC = 0x10, 0x20, 0x40

CAP_READABLE, CAP_WRITABLE, CAP_SEEKABLE, CAP_STAT, CAP_FD = 0x1, 0x2, 0x4, 0x40, 0x80

FINISH_COMMIT, FINISH_DISCARD = 2, 3
FLUSH_PUSH, FLUSH_SYNC = 1, 2
FOR_READ, FOR_WRITE, FOR_FINISH = 1, 2, 4
EVENT_READ, EVENT_WRITE = 1, 2
COUNT_MAX = 0x7FFFF000

UNLIMITED = SIZE_UNKNOWN = (1 << 64) - 1
TIME_UNKNOWN = -(1 << 63)

KINDS = ("unknown", "regular", "directory", "stream", "device", "terminal")

REPORT_JSON = 2


class Sized(ctypes.Structure):
    """A struct that begins with its own size."""

    def __init__(self, **fields: object) -> None:
        super().__init__(struct_size=ctypes.sizeof(self), **fields)


class Error(Sized):
    _fields_ = [
        ("struct_size", c_uint64),
        ("code", c_int32),
        ("flags", c_uint32),
        ("message", c_char * 1000),
    ]


class Stat(Sized):
    _fields_ = [
        ("struct_size", c_uint64),
        ("size", c_uint64),
        ("modified_ns", c_int64),
        ("kind", c_uint32),
        ("reserved", c_uint32),
        ("version", c_char * 128),
    ]


class Name(Sized):
    _fields_ = [
        ("struct_size", c_uint64),
        ("bytes", c_void_p),
        ("length", c_uint64),
        ("stat", ctypes.POINTER(Stat)),
    ]


class OpenOptions(Sized):
    _fields_ = [
        ("struct_size", c_uint64),
        ("flags", c_uint64),
        ("expected_size", c_uint64),
        ("settings", ctypes.POINTER(c_char_p)),
        ("offered", ctypes.POINTER(c_char_p)),
        ("control", c_void_p),
    ]


class Waiting(Sized):
    _fields_ = [
        ("struct_size", c_uint64),
        ("ns", c_uint64),
        ("object", c_char * 512),
        ("refusal", c_char * 512),
    ]


class Interest(Sized):
    _fields_ = [
        ("struct_size", c_uint64),
        ("ns", c_uint64),
        ("fd", c_int32),
        ("events", c_uint32),
        ("ready", c_uint32),
        ("reserved", c_uint32),
    ]


LogFn = ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_char_p)
NameFn = ctypes.CFUNCTYPE(c_int32, c_void_p, ctypes.POINTER(Name))
ChannelCallFn = ctypes.CFUNCTYPE(c_int64, c_void_p, c_void_p, c_uint64)
ChannelFinishFn = ctypes.CFUNCTYPE(c_int32, c_void_p, c_uint32)
ChannelCloseFn = ctypes.CFUNCTYPE(None, c_void_p)
EndedFn = ctypes.CFUNCTYPE(None, c_void_p)


class RegistryOptions(Sized):
    _fields_ = [
        ("struct_size", c_uint64),
        ("name", c_char_p),
        ("version", c_char_p),
        ("log", LogFn),
        ("log_arg", c_void_p),
        ("log_level", c_uint32),
        ("reserved", c_uint32),
    ]


class SessionOptions(Sized):
    _fields_ = [
        ("struct_size", c_uint64),
        ("configuration", c_char_p),
        ("worker", c_char_p),
        ("cache_folder", c_char_p),
        ("cache_key", c_char_p),
        ("job", c_char_p),
        ("host", c_void_p),
    ]


class Channel(Sized):
    _fields_ = [
        ("struct_size", c_uint64),
        ("arg", c_void_p),
        ("read", ChannelCallFn),
        ("write", ChannelCallFn),
        ("finish", ChannelFinishFn),
        ("close", ChannelCloseFn),
        ("stop", ChannelCloseFn),
    ]


_V, _S, _OUT, _ERR = c_void_p, c_char_p, ctypes.POINTER(c_void_p), ctypes.POINTER(Error)
_OPTIONS = ctypes.POINTER(OpenOptions)

# Result, then arguments. All that can fail end with `zvfs_error *err`.
ZVFS: dict[str, tuple[object, list[object]]] = {
    "zvfs_version": (_S, []),
    "zvfs_configuration_new": (c_int32, [_OUT, _ERR]),
    "zvfs_configuration_find": (c_int32, [_S, _OUT, _ERR]),
    "zvfs_configuration_parse": (c_int32, [_S, _OUT, _ERR]),
    "zvfs_configuration_add_provider_path": (c_int32, [_V, _S, _ERR]),
    "zvfs_configuration_allow": (c_int32, [_V, _S, _ERR]),
    "zvfs_configuration_set": (c_int32, [_V, _S, _S, _S, _ERR]),
    "zvfs_configuration_append": (c_int32, [_V, _S, _S, _S, _ERR]),
    "zvfs_configuration_free": (None, [_V]),
    "zvfs_control_new": (c_int32, [_OUT, _ERR]),
    "zvfs_control_cancel": (c_int32, [_V, _ERR]),
    "zvfs_control_lift": (c_int32, [_V, _ERR]),
    "zvfs_control_set_deadline": (c_int32, [_V, c_uint64, _ERR]),
    "zvfs_control_fd": (c_int32, [_V, _ERR]),
    "zvfs_control_waiting": (c_int32, [_V, ctypes.POINTER(Waiting), _ERR]),
    "zvfs_control_free": (None, [_V]),
    "zvfs_registry_new": (c_int32, [_V, ctypes.POINTER(RegistryOptions), _OUT, _ERR]),
    "zvfs_registry_open": (c_int32, [_V, _S, _OPTIONS, _OUT, _ERR]),
    "zvfs_registry_open_start": (c_int32, [_V, _S, _OPTIONS, _OUT, _ERR]),
    "zvfs_registry_set_poll_threads": (c_int32, [_V, c_uint32, _ERR]),
    "zvfs_registry_supported_flags": (c_int32, [_V, _S, ctypes.POINTER(c_uint64), _ERR]),
    "zvfs_registry_stat": (c_int32, [_V, _S, _OPTIONS, ctypes.POINTER(Stat), _ERR]),
    "zvfs_registry_names": (c_int32, [_V, _S, _OPTIONS, NameFn, _V, _ERR]),
    "zvfs_registry_remove": (c_int32, [_V, _S, _OPTIONS, _ERR]),
    "zvfs_registry_make_folder": (c_int32, [_V, _S, _OPTIONS, _ERR]),
    "zvfs_registry_remove_folder": (c_int32, [_V, _S, _OPTIONS, _ERR]),
    "zvfs_registry_set_modified": (c_int32, [_V, _S, _OPTIONS, c_int64, _ERR]),
    "zvfs_registry_free": (None, [_V]),
    "zvfs_handle_capabilities": (c_uint64, [_V]),
    "zvfs_handle_shown": (_S, [_V]),
    "zvfs_handle_read": (c_int64, [_V, _V, c_uint64, _ERR]),
    "zvfs_handle_write": (c_int64, [_V, _V, c_uint64, _ERR]),
    "zvfs_handle_read_at": (c_int64, [_V, _V, c_uint64, c_uint64, _ERR]),
    "zvfs_handle_seek": (c_int64, [_V, c_int64, c_uint32, _ERR]),
    "zvfs_handle_tell": (c_int64, [_V, _ERR]),
    "zvfs_handle_truncate": (c_int32, [_V, c_uint64, _ERR]),
    "zvfs_handle_stat": (c_int32, [_V, ctypes.POINTER(Stat), _ERR]),
    "zvfs_handle_set_modified": (c_int32, [_V, c_int64, _ERR]),
    "zvfs_handle_flush": (c_int32, [_V, c_uint32, _ERR]),
    "zvfs_handle_finish": (c_int32, [_V, c_uint32, _ERR]),
    "zvfs_handle_close": (c_int32, [_V]),
    "zvfs_handle_interest": (c_int32, [_V, c_uint32, ctypes.POINTER(Interest), _ERR]),
    "zvfs_handle_try_read": (c_int64, [_V, _V, c_uint64, _ERR]),
    "zvfs_handle_try_write": (c_int64, [_V, _V, c_uint64, _ERR]),
    "zvfs_handle_try_finish": (c_int32, [_V, c_uint32, _ERR]),
}

ZVM: dict[str, tuple[object, list[object]]] = {
    "zvm_session_new": (c_int32, [_S, c_uint64, ctypes.POINTER(SessionOptions), _OUT, _ERR]),
    "zvm_session_program": (c_int32, [_V, _S, c_uint64, _ERR]),
    "zvm_session_argument": (c_int32, [_V, _S, _ERR]),
    "zvm_session_environment": (c_int32, [_V, _S, _S, _ERR]),
    "zvm_session_channel": (c_int32, [_V, _S, ctypes.POINTER(Channel), _ERR]),
    "zvm_session_start": (c_int32, [_V, EndedFn, _V, _ERR]),
    "zvm_session_cancel": (c_int32, [_V, _ERR]),
    "zvm_session_report": (_S, [_V, c_uint32]),
    "zvm_session_free": (None, [_V]),
}
