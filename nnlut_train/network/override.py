"""Meets the non-linear operations of a running model, and says where in the model each is."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch._C import DisableTorchFunction
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from nnlut_train.errors import UsageError

from .calls import OPENED, READERS, UNSUPPORTED, Call, attention, opened
from .classes import Known, known

__all__ = ["Handler", "Override"]

#: ``handler(site, call)`` returns the operation's result, or None to leave it as it is.
Handler = Callable[[str, Call], Tensor | None]
#: ``left(site, op, why)`` hears of an operation that no unit computes.
Left = Callable[[str, str, str], None]


class _Mode(TorchFunctionMode):
    """Hands torch functions to the override while its model runs."""

    def __init__(self, override: "Override") -> None:
        super().__init__()
        self.override = override

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Meet one function; see `torch.overrides`."""
        return self.override.meet(func, args, kwargs or {})


class Override:
    """A model of which every non-linear operation is met while it runs, until `remove`.

    The model's source stays as it is: hooks name the module that runs, and torch's function
    override (`torch.overrides.TorchFunctionMode`) meets the calls. A site is
    ``<module's path>.<op>``; the k-th further call of the operation in one run of the module has
    ``.k`` behind it.

    Parameters
    ----------
    model : nn.Module
        The model.
    handler : callable
        ``handler(site, call)``, for each operation that a unit can compute.
    left : callable
        ``left(site, op, why)``, for each non-linear operation that none can.
    """

    def __init__(self, model: nn.Module, handler: Handler, left: Left) -> None:
        self._handler, self._left = handler, left
        self._paths: list[str] = []
        self._counts: list[Counter[str]] = []
        self._modes: list[_Mode] = []
        self._hooks: list[Any] = []
        self._known: list[nn.Module] = []
        for path, module in model.named_modules():
            self._hooks.append(module.register_forward_pre_hook(self._entering(path)))
            self._hooks.append(module.register_forward_hook(self._leave, always_call=True))
            if (operation := known(module)) is not None:
                module.forward = self._forward_of(operation)
                self._known.append(module)

    def remove(self) -> None:
        """Let the model compute as it did before."""
        for hook in self._hooks:
            hook.remove()
        for module in self._known:
            del module.forward
        self._hooks, self._known = [], []

    def _entering(self, path: str) -> Callable[..., None]:
        def enter(*_: Any) -> None:
            if not self._paths:
                self._modes.append(_Mode(self))
                self._modes[-1].__enter__()
            self._paths.append(path)
            self._counts.append(Counter())

        return enter

    def _leave(self, *_: Any) -> None:
        if self._paths:
            self._paths.pop()
            self._counts.pop()
            if not self._paths:
                self._modes.pop().__exit__(None, None, None)

    def _forward_of(self, operation: Known) -> Callable[..., Tensor]:
        """Return the forward function of a module of a class that is known as an operation."""

        def forward(x: Tensor) -> Tensor:
            call = operation.call(x)
            result = self._handle(call)
            if result is not None:
                return result
            with DisableTorchFunction():  # what it is made of is no operation of its own
                return operation.forward(x)

        return forward

    def _site(self, op: str) -> str:
        path, counts = self._paths[-1], self._counts[-1]
        number = counts[op]
        counts[op] += 1
        return ".".join(part for part in (path, op, str(number) if number else "") if part)

    def _handle(self, call: Call) -> Tensor | None:
        """Return what the handler makes of a call; errors name the site."""
        site = self._site(call.op)
        try:
            result = self._handler(site, call)
        except UsageError as error:
            raise UsageError(f"site {site}: {error}") from error
        return None if result is None else call.finish(result)

    def meet(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what a torch function returns, by the handler if it is for it."""
        if not self._paths:  # between the last hook and the end of the call
            return func(*args, **kwargs)
        if func in OPENED:
            with self._modes[-1]:
                return opened(func)(*args, **kwargs)
        if func is scaled_dot_product_attention:
            with self._modes[-1]:
                return attention(*args, **kwargs)
        reader = READERS.get(func)
        if reader is not None:
            if not _floating(args, kwargs):
                return func(*args, **kwargs)
            call = reader(*args, **kwargs)
            if call is None:
                self._tell(func.__name__, "with these constants")
            elif (result := self._handle(call)) is not None:
                return result
        elif func in UNSUPPORTED and _floating(args, kwargs):
            name = UNSUPPORTED[func]
            if name not in ("div", "pow") or _by_tensor(name, args, kwargs):
                self._tell(name, "no unit computes it")
        return func(*args, **kwargs)

    def _tell(self, op: str, why: str) -> None:
        self._left(self._site(op), op, why)


def _floating(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether a function is asked of real numbers."""
    tensors = [v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
    return any(v.is_floating_point() for v in tensors)


def _by_tensor(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether a division or a power is not by a constant number.

    Dividing by a constant is a scale; a square is a multiplication.
    """
    by = args[1] if len(args) > 1 else next(iter(kwargs.values()), None)
    if isinstance(by, Tensor):
        return by.numel() > 1 or name == "pow"
    return name == "pow" and by not in (1, 2)
