"""Reading trained values into torch's modules, and running those the same way everywhere."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from snowmatch.core.errors import SnowmatchError
from snowmatch.models.device import check_device

Module = TypeVar("Module", bound=nn.Module)

# How the authors' LightGlue files name the layers. Those of XFeat's hold the extractor's values too, and those of the
# first release a number per layer that no code uses any more.
LAYER = re.compile(r"^(self_attn|cross_attn)\.(\d+)\.")
_alone = threading.RLock()
LEFT_OVER = re.compile(r"extractor\..*|log_assignment\.\d+\.r")


def read_tensors(path: Path, key: str = "") -> dict[str, Tensor]:
    """The named tensors of a weights file, on the CPU; `key` names the dictionary that holds them inside the file.

    Safetensors by the name's ending, else torch's own format, of which nothing but tensors is read: no code of the file
    runs. SnowmatchError where the file cannot be read or holds anything else.
    """
    path = Path(path)
    try:
        content = path.read_bytes()  # not mapped: the file may be replaced while the network runs
    except OSError as error:
        raise SnowmatchError(
            f"{path} cannot be read: {error.strerror or error}; see which weights are here",
            "list-weights",
        ) from error
    try:
        if path.suffix.lower() == ".safetensors":
            held: Any = safetensors.torch.load(content)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about TorchScript, which is then refused
                held = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no weights make the readers fail in every way there is
        raise SnowmatchError(
            f"{path} is damaged or no file of weights ({type(error).__name__}): download it again"
        ) from error
    if key:
        if not isinstance(held, Mapping) or key not in held:
            raise SnowmatchError(f"{path} has no part {key!r}: it belongs to another network, or is damaged")
        held = held[key]
    if not isinstance(held, Mapping) or not held:
        raise SnowmatchError(f"{path} holds {type(held).__name__} instead of named tensors: is it another file?")
    for name, tensor in held.items():
        if not (isinstance(name, str) and isinstance(tensor, Tensor) and _plain(tensor)):
            kind = type(tensor).__name__
            raise SnowmatchError(f"{path} holds {name!r}, {kind}, expected plain tensors only: is it another file?")
    return dict(held)


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says about itself; {} where it says nothing or is of another format."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (safetensors.SafetensorError, OSError):  # read_tensors tells what is wrong with it
        return {}


def fill(module: Module, tensors: Mapping[str, Tensor], path: Path, *, optional: Collection[str] = ()) -> Module:
    """Put `tensors` (of the file `path`) into a module, ready to be used: eval mode, no gradients; returns the module.

    Every value of the module must be there with its shape and finite, and nothing more, else SnowmatchError and the
    module stays as it was. `optional` names, or prefixes that end in ".", may be missing or too many.
    """

    def waived(name: str) -> bool:
        # counts steps of training; torch fills it in where old files have none
        return name.endswith("num_batches_tracked") or any(
            name == o or (o.endswith(".") and name.startswith(o)) for o in optional
        )

    wanted = module.state_dict()
    wrong = [
        problem for name, tensor in wanted.items() if (problem := _misfit(name, tensor, tensors.get(name), waived))
    ]
    wrong += [
        f"{n} of shape {tuple(t.shape)} is too much" for n, t in tensors.items() if not (n in wanted or waived(n))
    ]
    if wrong:
        more = f", and {len(wrong) - 1} more such" if len(wrong) > 1 else ""
        raise SnowmatchError(
            f"{path} does not fit {type(module).__name__}: {wrong[0]}{more}; use the file of this very network",
            "list-weights",
        )
    module.load_state_dict({name: tensor for name, tensor in tensors.items() if name in wanted}, strict=False)
    return module.eval().requires_grad_(False)


def lightglue_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a LightGlue file under the names that kornia's module has, without those it has no use for."""
    named = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("matcher.")
        if not LEFT_OVER.fullmatch(name):
            named[LAYER.sub(r"transformers.\2.\1.", name)] = tensor
    return named


def pick_device(name: str) -> torch.device:
    """The device called `name`: auto (a CUDA GPU where there is one, else the CPU), cpu, cuda, cuda:1, mps.

    SnowmatchError where that is none, or is not there.
    """
    kind, _, number = name.partition(":")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        check_device(name)
    except ValueError as error:
        raise SnowmatchError(str(error)) from error
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= count:
            seen = f"{count} CUDA GPU{'s' * (count > 1)} (the first is cuda:0)" if count else "no CUDA GPU"
            raise SnowmatchError(
                f"device is {name!r}, but torch sees {seen} here: use the device cpu, or auto",
                "choose-device",
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise SnowmatchError(
            "device is 'mps', but torch sees no Apple GPU here: use the device cpu, or auto", "choose-device"
        )
    return torch.device(name)


@contextmanager
def repeatable() -> Iterator[None]:
    """Run networks without gradients, so that the same input gives the same bytes: on one core, in full precision.

    Sums in another order end in other bytes. A GPU would else choose how to convolve by what is quick, with numbers of
    10 bits, and its features are filed under the key of a CPU's.
    """
    with _alone:  # these are settings of the whole process
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with (
                torch.inference_mode(),
                torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
            ):
                yield
        finally:
            torch.set_num_threads(before)


def _plain(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized


def _misfit(name: str, wanted: Tensor, given: Tensor | None, waived: Callable[[str], bool]) -> str:
    """Why a tensor cannot be loaded as the one that is wanted; "" where it can."""
    if given is None:
        return "" if waived(name) else f"{name} of shape {tuple(wanted.shape)} is missing"
    if given.shape != wanted.shape:
        return f"{name} has shape {tuple(given.shape)}, expected {tuple(wanted.shape)}"
    if given.is_floating_point() != wanted.is_floating_point() or given.is_complex() != wanted.is_complex():
        return f"{name} is of {given.dtype}, expected {wanted.dtype}"
    if not given.to(wanted.dtype).isfinite().all():
        return f"{name} holds NaN or infinite values"
    return ""
