"""What tests of exporters share: a survey of the small tables that is exported, and a catalog with photos."""

import csv

from conftest import read_rows
from drawn_table import ROWS, STATIONS, write_catalog
from PIL import Image

import snowmatch
from snowmatch.interchange.exporting import export_survey
from snowmatch.survey.coordinates import Coordinates
from snowmatch.survey.run import make_survey

OPTIONS = {name: {"timezone": "+06:00"} for name in ("camtrap_dp", "darwin_core")}
EXACT = Coordinates()


def export(tmp_path, name, rows=ROWS, stations=STATIONS, coordinates=EXACT, options=None, **counting):
    """Export a drawn survey; return the folder of its files and the survey."""
    folder = write_catalog(tmp_path / "catalog", rows, stations)
    survey = make_survey(snowmatch.open_catalog(folder).data, **counting)
    options = {**OPTIONS.get(name, {}), **(options or {})}
    export_survey(survey, name, tmp_path / "out", options=options, coordinates=coordinates)
    return tmp_path / "out", survey


TWO_CAMERAS = """station,location,camera,x,y,from,to
S1,naryn,A,76.10,41.50,2023-05-01,2023-05-03
S1,naryn,A,76.10,41.50,2023-05-06,2023-05-12
S1,naryn,B,76.10,41.50,2023-05-03T12:00,2023-05-07
S1,naryn,C,76.10,41.50,2023-05-09,2023-05-12
"""


def photo_catalog(tmp_path):
    """Write a catalog with photos of cards with the same file names, with boxes, and two animals in one photo."""
    folder = write_catalog(tmp_path / "catalog")
    rows = read_rows(folder / "catalog.csv")
    for n, row in enumerate(rows):
        row["bbox"] = f"{n + 1},2,{60 + n},40"
        number = sum(r["station"] == row["station"] for r in rows[:n])
        row["path"] = f"cards/naryn/{row['station']}/100RECNX/IMG_{number:04}.JPG"
        row["timestamp"] = row["timestamp"] or "2023-05-25T05:00:00"
    rows.append({**rows[2], "individual": "dastan", "body_part": "right_flank", "bbox": "70,10,20,30"})
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 60)).save(folder / row["path"])
    return folder
