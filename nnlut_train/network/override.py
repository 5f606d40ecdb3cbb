"""Meets the non-linear operations of a running model, and says where in the model each is."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode, _get_current_function_mode

from nnlut_train.errors import UsageError, where

from .calls import OPENED, PROBES, READERS, Call, attention, opened
from .classes import Known, known

__all__ = ["Handler", "Left", "Override", "compiled"]

#: ``handler(site, call)`` returns the operation's result, or None to leave it as it is.
Handler = Callable[[str, Call], Tensor | None]
#: ``left(site, op, why)`` hears of an operation that no unit computes.
Left = Callable[[str, str, str], None]

#: Names that torch's functions of C++ also take for an argument.
_ALIASES = {"axis": "dim", "x": "input", "a": "input", "x1": "input", "x2": "other"}

_opened = cache(opened)


class _Mode(TorchFunctionMode):
    """Hands torch functions to the override while its model runs."""

    def __init__(self, override: "Override") -> None:
        super().__init__()
        self.override = override

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Meet one function; see `torch.overrides`."""
        return self.override.meet(self, func, args, kwargs or {})


class _Module:
    """A module that runs: its path, how often it did what, and whether that is to be met."""

    def __init__(self, path: str, quiet: bool) -> None:
        self.path, self.quiet = path, quiet
        self.counts: Counter[str] = Counter()


class _State(threading.local):
    """What runs in a thread: modules, the innermost last, and the frame that runs the outermost."""

    def __init__(self) -> None:
        self.modules: list[_Module] = []
        self.modes: list[_Mode] = []
        self.frame: FrameType | None = None

    def alive(self) -> bool:
        """Return whether the model runs.

        Hooks do not hear of a KeyboardInterrupt, say: what they began is then over without them.
        """
        if not self.modules:
            return False
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame is not self.frame:
            frame = frame.f_back
        if frame is None:
            self.modules, self.modes, self.frame = [], [], None
        return frame is not None


class Override:
    """A model of which every non-linear operation is met while it runs, until `remove`.

    The model's source stays as it is: hooks name the module that runs, and torch's function
    override (`torch.overrides.TorchFunctionMode`) meets the calls, in every thread that runs the
    model. A site is ``<module's path>.<op>``; the k-th further call of the operation in one run of
    the module has ``.k`` behind it. Of a module at several paths, the first counts.

    Parameters
    ----------
    model : nn.Module
        The model.
    handler : callable
        ``handler(site, call)``, for each operation that a unit can compute.
    left : callable
        ``left(site, op, why)``, for each non-linear operation that none can.

    Raises
    ------
    UsageError
        If the model, or a part of it, has an override already.
    """

    def __init__(self, model: nn.Module, handler: Handler, left: Left) -> None:
        self._handler, self._left = handler, left
        self._state = _State()
        self._hooks: list[Any] = []
        if any(_is_replaced(module) for module in model.modules()):
            raise UsageError(
                "the model must not be replaced already, nor be a copy of one that was: "
                "restore(model) first"
            )
        for path, module in model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue  # takes no hooks, and runs where no function is met
            operation = known(module)
            self._hooks += [
                module.register_forward_pre_hook(
                    self._entering(path, operation), prepend=True, with_kwargs=True
                ),
                module.register_forward_hook(
                    self._leaving(path, operation), always_call=True, with_kwargs=True
                ),
            ]

    def remove(self) -> None:
        """Let the model compute as it did before."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._state.alive()
        _drop_dead()

    def _entering(self, path: str, operation: Known | None) -> Callable[..., None]:
        def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
            state = self._state
            if not state.alive():
                _drop_dead()
                state.frame = sys._getframe(1)
                state.modes = [_Mode(self)]
                state.modes[0].__enter__()
            # What a known operation is made of is no operation of its own.
            quiet = operation is not None and _argument(args, kwargs) is not None
            state.modules.append(_Module(path, quiet))

        return enter

    def _leaving(self, path: str, operation: Known | None) -> Callable[..., Any]:
        def leave(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            state = self._state
            if not state.modules or state.modules[-1].path != path:
                return None  # it has failed before it was entered
            try:
                if output is not None and state.modules[-1].quiet:
                    return self._handle(operation.call(module, _argument(args, kwargs)))
            finally:
                state.modules.pop()
                if not state.modules:
                    state.frame = None
                    state.modes.pop().__exit__(None, None, None)
            return None

        return leave

    def _site(self, op: str) -> str:
        module = self._state.modules[-1]
        number = module.counts[op]
        module.counts[op] += 1
        return ".".join(part for part in (module.path, op, str(number) if number else "") if part)

    def _handle(self, call: Call) -> Tensor | None:
        """Return what the handler makes of a call; errors name the site."""
        site = self._site(call.op)
        with where(f"site {site}"):
            result = self._handler(site, call)
        return None if result is None else call.finish(result)

    def meet(self, mode: _Mode, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what a torch function returns, by the handler if it is for it."""
        if func in OPENED or func is functional.scaled_dot_product_attention:
            function = attention if func not in OPENED else _opened(func)
            if self._meets(mode):
                with mode:
                    return function(*args, **kwargs)
        elif (reader := READERS.get(func)) is not None and self._meets(mode):
            result = self._read(*reader, args, kwargs)
            if result is not None:
                return result
        return func(*args, **kwargs)

    def _meets(self, mode: _Mode) -> bool:
        """Return whether a mode is that of a model that runs."""
        state = self._state
        return mode in state.modes and state.alive() and not state.modules[-1].quiet

    def _read(
        self, name: str, reader: Callable[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Tensor | None:
        """Return the handler's result of a function; None if there is none."""
        if not _floating(args, kwargs):
            return None
        given = {_ALIASES.get(key, key): value for key, value in kwargs.items()}
        out = given.pop("out", None)
        try:
            call = reader(*args, **given)
        except TypeError:  # arguments that few give, or that torch refuses, too
            call = "with these arguments, no unit computes it"
        if isinstance(call, str):
            self._left(self._site(name), name, call)
            return None
        if call is None or (result := self._handle(_widened(call))) is None:
            return None
        return result if out is None else out.copy_(result)


def compiled(model: nn.Module) -> Iterator[str]:
    """Yield the paths of the modules that TorchScript or ``torch.compile`` has compiled.

    They do not call torch's functions any more: nothing of them can be met.
    """
    found: set[str] = set()
    for path, module in model.named_modules():
        script = isinstance(module, torch.jit.ScriptModule)
        if script or module._compiled_call_impl is not None or hasattr(module, "_orig_mod"):
            found.add(path)
            above = path.split(".")[:-1]
            if not any(".".join(above[:n]) in found for n in range(len(above) + bool(path))):
                yield path


def _drop_dead() -> None:
    """Drop modes that nobody has left: see `_State.alive`."""
    while isinstance(mode := _get_current_function_mode(), _Mode):
        if mode in mode.override._state.modes:
            break
        mode.__exit__(None, None, None)


def _is_replaced(module: nn.Module) -> bool:
    """Return whether a module has the hooks of an override."""
    hooks = module._forward_pre_hooks.values()
    return any(getattr(hook, "__module__", None) == __name__ for hook in hooks)


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """Return the one tensor that a module is called with; None if there are others."""
    given = [*args, *kwargs.values()]
    return given[0] if len(given) == 1 and isinstance(given[0], Tensor) else None


def _floating(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether a function is asked of, or for, real numbers."""
    given = [*args, *kwargs.values()]
    dtypes = [v.dtype if isinstance(v, Tensor) else v for v in given]
    return any(isinstance(dtype, torch.dtype) and dtype.is_floating_point for dtype in dtypes)


def _widened(call: Call) -> Call:
    """Return a call with its argument in the precision that torch's autocast computes in."""
    x = call.x
    if call.op not in PROBES or not torch.is_autocast_enabled(x.device.type):
        return call
    return replace(call, x=x.to(PROBES[call.op](x.new_ones(1)).dtype))
