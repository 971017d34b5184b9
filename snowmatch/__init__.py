"""snowmatch: identification of individual animals by their coat patterns; see README.md. The import is fast."""

from typing import TYPE_CHECKING, Any

from snowmatch.core.errors import SnowmatchError
from snowmatch.core.version import __version__

if TYPE_CHECKING:
    from snowmatch.api import Catalog, open_catalog

__all__ = ["Catalog", "SnowmatchError", "__version__", "open_catalog"]


def __getattr__(name: str) -> Any:
    if name in ("open_catalog", "Catalog"):
        from snowmatch import api  # imported only now, because it loads numpy, OpenCV and faiss

        return getattr(api, name)
    raise AttributeError(f"module 'snowmatch' has no attribute {name!r}")
