"""The command `snowmatch screen`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from snowmatch.cli.shared import (
    PATH,
    Bar,
    cluster_option,
    decisions_option,
    force_option,
    json_option,
    print_json,
    print_text,
    say_failed,
    say_notes,
    setting_option,
    workers_option,
)


@click.command()
@click.argument("catalog", type=PATH)
@click.option("--species", metavar="NAME", help="The species to keep.  [default: snow leopard]")
@click.option(
    "--keep",
    type=float,
    metavar="SHARE",
    help="Share of the passages of the species that must be kept.  [default: 0.99]",
)
@click.option("--threshold", type=float, metavar="P", help="Keep passages with this score or more, instead of --keep.")
@click.option(
    "--classifier",
    metavar="NAME",
    help="Network that tells the species; auto or none. The catalog keeps it.  [default: what it keeps, first auto]",
)
@click.option(
    "--segmenter",
    metavar="NAME",
    help="Network that draws the outline of animals, such as isnet; none. The catalog keeps it.  [default: "
    "what it keeps, first none]",
)
@click.option("--detector", metavar="NAME", help="Network that draws boxes; `snowmatch plugins` lists all.")
@setting_option
@click.option("--results", type=PATH, metavar="FILE", help="Results of MegaDetector or SpeciesNet (JSON).")
@click.option("--forget-results", is_flag=True, help="Remove the stored detections and their boxes, and do no more.")
@decisions_option
@click.option(
    "--out", type=PATH, metavar="NAME", help="Write the table here: NAME.csv and NAME.jsonl.  [default: no table]"
)
@click.option("--explain", type=PATH, metavar="DIR", help="Write a picture for each passage: why it was kept or left.")
@click.option(
    "--learn",
    type=PATH,
    metavar="FILE.npz",
    help="Teach a classifier from the column species of CATALOG, and write it. Use it as --classifier FILE.npz.",
)
@click.option("--evaluate", is_flag=True, help="Measure the classifier on labelled photos. --out: folder of a page.")
@click.option(
    "--labels",
    metavar="NAME",
    help="For --evaluate: species (the column of the catalog), folders (the first folder of each photo), or a table "
    "with the columns path and species.  [default: species]",
)
@click.option("--groups", type=PATH, metavar="FILE", help="For --evaluate: a table with the columns species and group.")
@json_option
@workers_option
@cluster_option
@force_option
def screen(
    catalog: Path,
    species: str | None,
    keep: float | None,
    threshold: float | None,
    classifier: str | None,
    segmenter: str | None,
    detector: str | None,
    options: dict[str, str],
    results: Path | None,
    forget_results: bool,
    decisions: Path | None,
    out: Path | None,
    explain: Path | None,
    learn: Path | None,
    evaluate: bool,
    labels: str | None,
    groups: Path | None,
    as_json: bool,
    workers: int | None,
    force: bool,
) -> None:
    """Tell which photos of CATALOG may show the animal, and where it is.

    Photos of one passage are judged together. The answer is `kept`, `nothing`, another species, `person`, or `unknown`
    if no network has seen them. Nothing is deleted or moved; `snowmatch batch` asks about what is kept or unknown. The
    next index run uses the boxes that are found. If the run was stopped, the same command continues it.

    -o KEY=VALUE changes a setting of the detector.

    \b
    Example:
      snowmatch screen catalog/ --out screening.csv --explain why/
      snowmatch screen catalog/ --results megadetector.json
      snowmatch screen catalog/ --learn ours.npz
      snowmatch screen catalog/ --evaluate --labels species --groups endangered.csv --out proof/
    """
    if detector is not None and results is not None:
        raise click.UsageError("expected --detector or --results, not both")
    if options and detector is None:
        raise click.UsageError("-o changes a setting of the detector: name it with --detector")
    if (labels is not None or groups is not None or as_json) and not evaluate:
        raise click.UsageError("--labels, --groups and --json belong to --evaluate")
    if keep is not None and threshold is not None:
        raise click.UsageError("expected --keep or --threshold, not both")
    unused = (species, keep, threshold, segmenter, detector, results, out, explain)
    if evaluate and (forget_results or any(v is not None for v in (segmenter, detector, results, explain, learn))):
        raise click.UsageError("--evaluate only measures: run screen again with the other options")
    if forget_results and (force or any(v is not None for v in (*unused, classifier, learn, decisions, workers))):
        raise click.UsageError("--forget-results only removes detections: run screen again with the other options")
    if learn is not None and any(value is not None for value in unused):
        raise click.UsageError(
            "--learn only teaches: run screen again with --classifier FILE.npz and the other options"
        )
    if evaluate:
        chosen = {"labels": labels, "groups": groups, "species": species, "keep": keep, "threshold": threshold}
        given = {name: value for name, value in chosen.items() if value is not None}
        _evaluate(catalog, decisions, classifier, out, as_json, force, workers=workers, **given)
        return
    from snowmatch.api import open_catalog
    from snowmatch.core.outputs import check_folder
    from snowmatch.review.screen import screen_catalog
    from snowmatch.views.screening import check_table, draw_screening, write_table

    if forget_results:
        from snowmatch.review.detections import forget_results as forget

        print_text(forget(open_catalog(catalog).folder))
        return
    if learn is not None:
        from snowmatch.review.teach import teach

        with Bar("learning", "photo") as bar:
            network = {} if classifier is None else {"network": classifier}
            taught = teach(open_catalog(catalog, decisions).data, learn, workers, bar.update, **network, force=force)
        print_text(taught.summary())
        say_notes(taught.notes)
        say_failed(taught.failed)
        sys.exit(1 if taught.failed else 0)
    wanted: dict[str, Any] = {"species": species, "keep": keep}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    settings: dict[str, Any] = {"classifier": classifier, "segmenter": segmenter}
    settings = {name: value for name, value in settings.items() if value is not None}
    data = open_catalog(catalog, decisions, **settings).data
    if out is not None:
        check_table(out, catalog, force=force)
    if explain is not None:
        check_folder(explain, catalog)
    try:
        with (
            Bar("reading", "photo") as files,
            Bar("looking", "photo") as looks,
            Bar("detecting", "photo") as found,
            Bar("flanks", "photo") as flanks,
        ):
            result = screen_catalog(
                data,
                **wanted,
                threshold=threshold,
                detector=detector,
                options=options,
                results=results,
                workers=workers,
                reading=files.update,
                looking=looks.update,
                detecting=found.update,
                flanking=flanks.update,
                decisions=decisions,
            )
    except KeyboardInterrupt:
        raise click.ClickException("stopped; finished work is stored, and the same command continues") from None
    if out is not None:
        write_table(result.photos, out)
    print_text(result.summary())
    say_notes(result.notes)
    say_failed(result.failed)
    if explain is not None:
        drawn, missing = draw_screening(result.photos, data, explain, force=force)
        bare = any(note.code == "species-not-told" for note in result.notes)
        why = ": they show where a classifier sees the species, and none was used" if bare else ""
        print_text(f"{len(drawn)} pictures in {explain}{why}", err=True)
        say_notes(missing)
    if result.failed:
        sys.exit(1)


def _evaluate(
    catalog: Path,
    decisions: Path | None,
    classifier: str | None,
    out: Path | None,
    as_json: bool,
    force: bool,
    **given: Any,
) -> None:
    """Measure the classifier, print the result, and write the page into `out`. given: arguments of `prove`."""
    from snowmatch.api import open_catalog
    from snowmatch.review.screen_trial import prove
    from snowmatch.views.screen_page import check_page, write_page
    from snowmatch.views.screen_trial import format_proof, proof_to_json

    chosen: dict[str, Any] = {} if classifier is None else {"classifier": classifier}
    data = open_catalog(catalog, decisions, **chosen).data
    if out is not None:
        check_page(out, catalog, force=force)
    with Bar("looking", "photo") as looks, Bar("held out", "photo") as tells:
        proof = prove(data, looking=looks.update, telling=tells.update, **given)
    if out is not None:
        with Bar("pictures", "picture") as bar:
            pictures = write_page(proof, data, out, bar.update, force=force)
        print_text(f"{out / 'index.html'}: {pictures} pictures", err=True)
    if as_json:
        print_json(proof_to_json(proof))
    else:
        print_text(format_proof(proof))
    say_notes(proof.notes)
    say_failed(proof.failed)
    if proof.failed:
        sys.exit(1)
