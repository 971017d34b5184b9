"""What the words for species mean, in the column `species`, in decisions and in labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from snowmatch.core.text import same_name

NOTHING = "nothing"  # the name of the class without an animal, in every classifier
BLANK = frozenset((NOTHING, "blank", "empty", "none", "no animal", "false trigger", "vide", "leer", "пусто"))
# Photos with these labels are not shown
PEOPLE = frozenset(("person", "persons", "people", "human", "humans", "homo sapiens", "human-camera trapper"))
NO_ANIMAL = PEOPLE | {"vehicle", "vehicles"}
OTHERS = "other "  # the beginning of the classes of the animals that nobody asked for, such as `other mammal`


def label_of(text: str) -> str:
    """Return a species as it is compared: without blanks around it; NOTHING for a word such as `blank` or `empty`."""
    text = same_name(text.strip())
    return NOTHING if text.casefold() in BLANK else text


def is_wanted(text: str, screened: str) -> bool:
    """Return whether a species that a person gave is one to identify, so that the answer `screened` was wrong."""
    label = label_of(text).casefold()
    none = label in ("", NOTHING, screened.casefold()) or label in NO_ANIMAL
    return not none and not label.startswith(OTHERS)


def species_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the species among some texts, as they are compared. Texts that name no animal are left out."""
    return frozenset(label_of(text).casefold() for text in texts) - NO_ANIMAL - {"", NOTHING}


def is_counted(text: str, named: Collection[str]) -> bool:
    """Return whether an unidentified animal of a species counts beside individuals of the species `named`.

    named: as `species_of` returns them. What is no animal never does. Where no individual has a species, all others do.
    """
    label = label_of(text).casefold()
    return not label or (label != NOTHING and label not in NO_ANIMAL and (not named or label in named))
