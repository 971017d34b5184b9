"""Loading of weights into torch modules, and repeatable execution of these modules."""

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

# The names of the layers in the LightGlue files of the authors
LAYER = re.compile(r"^(self_attn|cross_attn)\.(\d+)\.")
_lock = threading.RLock()
# Values that LightGlue does not need: files for XFeat contain the extractor's values too, and files of the first
# release contain one number per layer that no code uses any more
LEFT_OVER = re.compile(r"extractor\..*|log_assignment\.\d+\.r")


def read_tensors(path: Path, key: str = "") -> dict[str, Tensor]:
    """Return the named tensors of a file of weights, on the CPU.

    key: name of the dictionary inside the file that contains the tensors; "" if the file itself is that dictionary.

    The extension .safetensors means this format; any other file is read in torch's own format. Only tensors are read,
    so no code in the file is run. Raises SnowmatchError if the file cannot be read or contains anything else.
    """
    path = Path(path)
    try:
        content = path.read_bytes()  # read, not memory-mapped: the file may be replaced while the network runs
    except OSError as error:
        raise SnowmatchError(
            f"{path} cannot be read: {error.strerror or error}; list the available weights",
            "list-weights",
        ) from error
    try:
        if path.suffix.lower() == ".safetensors":
            loaded: Any = safetensors.torch.load(content)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns about TorchScript, which it then rejects
                loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # for bytes that are not weights, the readers raise exceptions of any type
        raise SnowmatchError(
            f"{path} is damaged or is not a file of weights ({type(error).__name__}): download it again"
        ) from error
    if key:
        if not isinstance(loaded, Mapping) or key not in loaded:
            raise SnowmatchError(
                f"{path} has no entry {key!r}, so it is for another network or damaged: download it again"
            )
        loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not loaded:
        kind = type(loaded).__name__
        raise SnowmatchError(f"{path} contains {kind} instead of named tensors: check that it is the right file")
    for name, tensor in loaded.items():
        if not (isinstance(name, str) and isinstance(tensor, Tensor) and _plain(tensor)):
            kind = type(tensor).__name__
            raise SnowmatchError(
                f"{path} contains {name!r} of type {kind}, expected only plain tensors: check that it is the right file"
            )
    return dict(loaded)


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file; {} if it has none or the file has another format."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (safetensors.SafetensorError, OSError):  # `read_tensors` reports this problem
        return {}


def fill(module: Module, tensors: Mapping[str, Tensor], path: Path, *, optional: Collection[str] = ()) -> Module:
    """Load `tensors` into a module and return the module, in eval mode and without gradients.

    path: the file of the tensors, for the error message.
    optional: names, or prefixes that end in ".", of tensors that may be missing or may be unknown to the module.

    All other tensors must be exactly those of the module, with the same shapes and with finite values. Raises
    SnowmatchError if they are not; the module then stays unchanged.
    """

    def waived(name: str) -> bool:
        # num_batches_tracked counts training steps; torch adds it if an old file has none
        return name.endswith("num_batches_tracked") or any(
            name == o or (o.endswith(".") and name.startswith(o)) for o in optional
        )

    wanted = module.state_dict()
    wrong = [
        problem for name, tensor in wanted.items() if (problem := _misfit(name, tensor, tensors.get(name), waived))
    ]
    wrong += [
        f"{n} of shape {tuple(t.shape)} is unexpected" for n, t in tensors.items() if not (n in wanted or waived(n))
    ]
    if wrong:
        more = f", and {len(wrong) - 1} more problems" if len(wrong) > 1 else ""
        raise SnowmatchError(
            f"{path} does not fit {type(module).__name__}: {wrong[0]}{more}; use the weights of this network",
            "list-weights",
        )
    module.load_state_dict({name: tensor for name, tensor in tensors.items() if name in wanted}, strict=False)
    return module.eval().requires_grad_(False)


def lightglue_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a LightGlue file under the names in kornia's module, without tensors that it lacks."""
    named = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("matcher.")
        if not LEFT_OVER.fullmatch(name):
            named[LAYER.sub(r"transformers.\2.\1.", name)] = tensor
    return named


def pick_device(name: str) -> torch.device:
    """Return the torch device called `name`: auto, cpu, cuda, cuda:1 or mps.

    auto is a CUDA GPU if torch sees one, and the CPU otherwise. Raises SnowmatchError if the name is invalid or torch
    does not see the device.
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
                f"device is {name!r}, but torch sees {seen} on this computer: use the device cpu, or auto",
                "choose-device",
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise SnowmatchError(
            "device is 'mps', but torch sees no Apple GPU on this computer: use the device cpu, or auto",
            "choose-device",
        )
    return torch.device(name)


@contextmanager
def repeatable() -> Iterator[None]:
    """Run networks inside the `with` block so that the same input gives the same bytes, without gradients.

    On the CPU one thread is used, because sums in another order give other bytes. On a GPU the convolution algorithm is
    fixed and uses full precision. By default a GPU chooses the fastest algorithm and uses numbers with 10 bits of
    precision (TF32). This matters because features from a GPU are stored under the same key as those from a CPU.
    """
    with _lock:  # these settings hold for the whole process
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
    """Return why the tensor `given` cannot be loaded as the tensor `wanted`; "" if it can."""
    if given is None:
        return "" if waived(name) else f"{name} of shape {tuple(wanted.shape)} is missing"
    if given.shape != wanted.shape:
        return f"{name} has shape {tuple(given.shape)}, expected {tuple(wanted.shape)}"
    if given.is_floating_point() != wanted.is_floating_point() or given.is_complex() != wanted.is_complex():
        return f"{name} is of {given.dtype}, expected {wanted.dtype}"
    if not given.to(wanted.dtype).isfinite().all():
        return f"{name} contains NaN or infinite values"
    return ""
