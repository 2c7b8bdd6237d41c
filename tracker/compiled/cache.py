"""Numba's cache on disk: read without what only compiling needs; and when its files are damaged or cannot be written,
a compilation is lost, not the run."""

from __future__ import annotations

import contextlib
import functools
import logging
import warnings
from types import ModuleType
from typing import Any

from numba.core.dispatcher import Dispatcher
from numba.core.runtime.nrt import rtsys

from retrace.configs.errors import one_line


def forgive(module: ModuleType) -> None:
    """From now on a cache file of the module's functions that cannot be read is thrown away and made anew, and one
    that cannot be written is done without; both say so, once a file. Numba itself raises whatever unpickling raises."""
    for name, function in vars(module).items():
        cache = getattr(function, "_cache", None) if isinstance(function, Dispatcher) else None
        if hasattr(cache, "load_overload"):
            _forgive(cache, name)


def _forgive(cache: Any, name: str) -> None:
    save = cache.save_overload

    def load_overload(signature: Any, target: Any) -> Any:
        try:
            found = _load(cache, signature, target)
            if found is None:
                _say_that_it_takes_a_while()
            return found
        except Exception as error:  # any: it unpickles what may be anything
            _say(cache, name, error, "compiling it again")
            with contextlib.suppress(OSError):
                cache.flush()
            return None

    def save_overload(*arguments: Any) -> None:
        try:
            save(*arguments)
        except Exception as error:
            _say(cache, name, error, "going on without it: the next start compiles again")

    cache.load_overload, cache.save_overload = load_overload, save_overload


def _load(cache: Any, signature: Any, target: Any) -> Any:
    """As numba's own, which first registers everything that can be compiled: compiled code runs without, and whatever
    is compiled later registers it then. A short run starts sooner by it."""
    load = getattr(cache, "_load_overload", None)  # not declared by numba: another version may have none
    if load is None:
        return cache.__class__.load_overload(cache, signature, target)
    rtsys.initialize(target)
    return load(signature, target)


@functools.cache  # once a process
def _say_that_it_takes_a_while() -> None:
    text = "compiling the tracker's loops for this machine: once, a minute or so"
    logging.getLogger("retrace").warning(text)


def _say(cache: Any, name: str, error: Exception, then: str) -> None:
    what = f"the cache of compiled code for {name} in {cache.cache_path}"
    text = f"{what} is damaged or cannot be written ({one_line(error)}); {then}"
    warnings.warn(text, stacklevel=2)
