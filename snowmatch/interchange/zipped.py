"""Files in one zip file: the same files give the same bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from mmap import mmap

MOMENT = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can hold


def zipped(files: Mapping[str, bytes | mmap]) -> bytes:
    """Return a zip file with these files, in the order of their names. No files give an empty zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, content in sorted(files.items()):
            about = zipfile.ZipInfo(name, MOMENT)
            about.compress_type, about.create_system, about.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(about, bytes(content))
    return out.getvalue()
