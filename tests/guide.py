"""What the tests of the guide share: the commands of a page, and a person who answers by the true names."""

import csv
import re
import shlex

from click.testing import CliRunner

from snowmatch.cli import identities_ask, main

BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(text, mark):
    """Yield the command lines of all blocks of a page that have this mark."""
    for _, _, block in (found for found in BLOCK.findall(text) if found[1] == mark):
        yield from block.replace("\\\n", " ").strip().splitlines()


def run(line, status=0):
    """Run one command line of a page, and return what it prints."""
    words = shlex.split(line, comments=True)
    assert words[0] == "snowmatch", line
    result = CliRunner().invoke(main, words[1:])
    assert result.exit_code == status, f"{line}\n{result.output}"
    return result.output


def answer_by(monkeypatch, truth):
    """Let a person answer every question of `ask` as the table `truth` (path, individual) says. Returns the answers."""
    with open(truth, newline="", encoding="utf-8") as file:
        names = {row["path"]: row["individual"] for row in csv.DictReader(file)}
    said = []
    ask = identities_ask._ask_all

    def with_answers(queue, *rest):
        def prompt(*_, **__):
            (item,) = queue.next()
            sightings = queue.identities.who.sightings
            paths = [queue.identities.annotations[sightings[n].rows[0]].path for n in (item.a, item.b)]
            one, other = (next(name for path, name in names.items() if given.endswith(path)) for given in paths)
            said.append("s" if one == other else "d")
            return said[-1]

        monkeypatch.setattr(identities_ask.click, "prompt", prompt)
        return ask(queue, *rest)

    monkeypatch.setattr(identities_ask, "_ask_all", with_answers)
    return said
