"""Sleeping on a word of shared memory until another process changes it.

Linux: the futex system call, without the PRIVATE flag, by ctypes. Elsewhere: looking again in
growing steps of 1 to 20 ms. Either way every sleep is bounded by its caller.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import sys
import time

__all__ = ["address_of", "can_spin", "wait", "wake"]

_NUMBERS = {
    "x86_64": 202,
    "aarch64": 98,
    "riscv64": 98,
    "loongarch64": 98,
    "ppc64le": 221,
    "s390x": 238,
}
_WAIT = 0
_WAKE = 1
_LOW_HALF = 0 if sys.byteorder == "little" else 4


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def _system_call() -> ctypes._NamedFuncPointer | None:
    if not sys.platform.startswith("linux") or sys.maxsize < 1 << 32:
        return None
    if platform.machine() not in _NUMBERS:
        return None
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.argtypes = (
        ctypes.c_long,
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_uint32,
        ctypes.c_void_p,
    )
    call.restype = ctypes.c_long
    return call


_call = _system_call()
_NUMBER = _NUMBERS.get(platform.machine(), 0)


def address_of(memory: mmap.mmap) -> int:
    """Where ``memory`` is mapped in this process; valid until it is closed."""
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def wait(address: int, expected: int, timeout: float) -> None:
    """Sleep while the low half of the word at ``address`` is ``expected``, ``timeout`` s at most.

    Returns early for any reason: the caller looks at what it waits for again.
    """
    if _call is None:
        _poll(address, expected, timeout)
        return
    timeout = max(0.0, timeout)  # the kernel refuses less: the caller would spin
    seconds = int(timeout)
    limit = _Timespec(seconds, int((timeout - seconds) * 1e9))
    _call(_NUMBER, address + _LOW_HALF, _WAIT, expected & 0xFFFF_FFFF, ctypes.addressof(limit))


def wake(address: int) -> None:
    """Wake everybody who sleeps on the word at ``address``."""
    if _call is not None:
        _call(_NUMBER, address + _LOW_HALF, _WAKE, 0x7FFF_FFFF, None)


def _poll(address: int, expected: int, timeout: float) -> None:
    word = ctypes.c_uint32.from_address(address + _LOW_HALF)
    until = time.monotonic() + timeout
    pause = 0.001
    while word.value == expected & 0xFFFF_FFFF and time.monotonic() < until:
        time.sleep(min(pause, max(0.0, until - time.monotonic())))
        pause = min(2 * pause, 0.02)


def can_spin() -> bool:
    """Whether a short busy wait can pay: with one CPU nobody else could run meanwhile."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) > 1
    return (os.cpu_count() or 1) > 1
