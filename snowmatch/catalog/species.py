"""What the words for species mean, in the column `species`, in decisions and in labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from snowmatch.core.text import same_name

NOTHING = "nothing"  # the name of the class without an animal, in every classifier
BLANK = frozenset((NOTHING, "blank", "empty", "none", "no animal", "false trigger", "vide", "leer", "пусто"))
# Photos with these labels are not shown
PEOPLE = frozenset(("person", "persons", "people", "human", "humans", "homo sapiens", "human-camera trapper"))
NO_ANIMAL = PEOPLE | {"vehicle", "vehicles"}
SNOW_LEOPARD = "snow leopard"  # what imports and screening call it
# Other names of one species, in small letters
SYNONYMS = dict.fromkeys(("panthera uncia", "uncia uncia", "ирбис", "снежный барс"), SNOW_LEOPARD)
OTHERS = "other "  # the beginning of the classes of the animals that nobody asked for, such as `other mammal`


def label_of(text: str) -> str:
    """Return a species as it is shown: without blanks around it; NOTHING for a word such as `blank` or `empty`."""
    text = same_name(text.strip())
    return NOTHING if text.casefold() in BLANK else text


def species_key(text: str) -> str:
    """Return a species as it is compared: as `label_of` returns it, in small letters, of SYNONYMS by one name."""
    label = " ".join(label_of(text).casefold().split())
    return SYNONYMS.get(label, label)


def name_among(text: str, names: Iterable[str]) -> str | None:
    """Return the one of some names that means a species: the same text if it is there; None if none does."""
    same = (name for name in names if species_key(name) == species_key(text))
    return min(same, key=lambda name: (name != text, name), default=None)


def is_wanted(text: str, screened: str) -> bool:
    """Return whether a species that a person gave is one to identify, so that the answer `screened` was wrong."""
    label = species_key(text)
    none = label in ("", NOTHING, species_key(screened)) or label in NO_ANIMAL
    return not none and not label.startswith(OTHERS)


def species_of(texts: Iterable[str]) -> frozenset[str]:
    """Return the species among some texts, as they are compared. Texts that name no animal are left out."""
    return frozenset(map(species_key, texts)) - NO_ANIMAL - {"", NOTHING}


def is_counted(text: str, named: Collection[str]) -> bool:
    """Return whether an unidentified animal of a species counts beside individuals of the species `named`.

    named: as `species_of` returns them. What is no animal never does. Where no individual has a species, all others do.
    """
    label = species_key(text)
    return not label or (label != NOTHING and label not in NO_ANIMAL and (not named or label in named))
