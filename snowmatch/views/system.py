"""What `snowmatch doctor --system` found, as text and as JSON."""

from __future__ import annotations

from typing import Any

from snowmatch.core.plain import plain
from snowmatch.core.text import counted, printable
from snowmatch.review.doctor.system import System

SCHEMA = "snowmatch.system/1"


def format_system(found: System) -> str:
    """Return the state of the computer as text, without a final line break."""
    versions = dict(found.versions)
    here = [name for name, state in found.weights if state != "missing"]
    lines = [
        f"snowmatch {versions['snowmatch']}, Python {versions['python']}, {found.system}",
        f"Cores:    {found.cores}",
        f"Memory:   {_gigabytes(found.memory)}, {_gigabytes(found.memory_available)} available",
        *(
            f"Disk:     {printable(str(disk.folder))}: {_gigabytes(disk.free)} free of {_gigabytes(disk.size)}"
            + ("; upper and lower case of names are the same" if disk.ignores_case else "")
            for disk in found.disks
        ),
        f"Graphics: {', '.join(map(printable, found.graphics)) or found.graphics_note}",
        f"Console:  {found.encoding}",
        f"Packages: {', '.join(f'{name} {version}' for name, version in found.versions[2:]) or 'not known'}",
        "Extras:",
    ]
    for extra in found.extras:
        words = ", ".join(f"{name} {version}" if version else f"{name} is missing" for name, version in extra.packages)
        install = "" if extra.installed else f'  (pip install "snowmatch[{extra.name}]")'
        lines.append(f"  {extra.name}: {words}{install}")
    missing = counted(len(found.weights) - len(here), "network")
    lines.append(f"Weights:  {', '.join(map(printable, here)) or 'none'}; {missing} without (snowmatch weights list)")
    if found.problems:
        lines += ["", "To mend:", *(f"- {printable(problem)}" for problem in found.problems)]
    return "\n".join(lines)


def system_to_json(found: System) -> dict[str, Any]:
    """Return the state of the computer as plain values. Its schema is SCHEMA; sizes are in bytes."""
    return {
        "schema": SCHEMA,
        "versions": {name: version or None for name, version in found.versions},
        "system": plain(found.system),
        "cores": found.cores,
        "memory": {"total": found.memory, "available": found.memory_available},
        "disks": [
            {
                "folder": plain(str(disk.folder)),
                "total": disk.size,
                "free": disk.free,
                "ignores_case": disk.ignores_case,
            }
            for disk in found.disks
        ],
        "graphics": {"cards": plain(found.graphics), "note": plain(found.graphics_note)},
        "encoding": found.encoding,
        "extras": {
            extra.name: {
                "installed": extra.installed,
                "packages": {name: version or None for name, version in extra.packages},
            }
            for extra in found.extras
        },
        "weights": {"folder": plain(str(found.weights_folder)), "networks": plain(dict(found.weights))},
        "problems": plain(found.problems),
    }


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
