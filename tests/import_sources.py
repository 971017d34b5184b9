"""Small sources of every format, written by the tests: two cats, Aika and Berk, at two stations, and their photos."""

import csv
import json
import sqlite3
import uuid
from pathlib import Path

import openpyxl
from PIL import Image

SIZE = (200, 100)  # of every photo (px)


def photo(path, size=SIZE, orientation=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size, (90, 90, 90)).save(path, format="JPEG", exif=exif)
    return path


def photos(folder, *names):
    for name in names:
        photo(folder / name)
    return folder


def write_csv(path, rows, separator=",", encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, columns, delimiter=separator, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def megadetector(folder, version="1.6", box=(0.1, 0.2, 0.5, 0.5)):
    photos(folder, "naryn/S01/100RECNX/a.jpg", "naryn/S02/100RECNX/a.jpg", "naryn/S02/100RECNX/empty.jpg")
    found = {"category": "1", "conf": 0.9, "bbox": list(box), "classifications": [["7", 0.8]]}
    images = [
        {
            "file": "naryn/S01/100RECNX/a.jpg",
            "detections": [found, {**found, "category": "2", "bbox": [0, 0, 0.1, 0.1]}],
        },
        {
            "file": "naryn\\S02\\100RECNX\\a.jpg",
            "detections": [found, {**found, "conf": 0.05, "bbox": [0, 0, 0.1, 0.1]}],
        },
        {"file": "naryn/S02/100RECNX/empty.jpg", "detections": []},
    ]
    about = {"info": {"format_version": version, "detector": "md_v5a"}, "images": images}
    names = {"detection_categories": {"1": "animal", "2": "person"}, "classification_categories": {"7": "snow leopard"}}
    return write_json(folder / "detections.json", about | names)


def speciesnet(folder):
    photos(folder, "S01/a.jpg", "S02/b.jpg")
    detections = [{"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.2, 0.5, 0.5]}]
    species = "x;mammalia;carnivora;felidae;panthera;uncia;snow leopard"
    found = [
        {"filepath": "S01/a.jpg", "detections": detections, "prediction": species, "prediction_score": 0.9},
        {"filepath": "S02/b.jpg", "detections": detections, "prediction": "x;;;;;;ibex", "prediction_score": 0.9},
    ]
    return write_json(folder / "predictions.json", {"predictions": found})


def camtrap_dp(folder, version="1.0.2"):
    photos(folder, "media/a.jpg", "media/b.jpg", "media/c.jpg")
    start, end = "2024-05-01T00:00:00+06:00", "2024-09-30T00:00:00+06:00"
    write_csv(
        folder / "deployments.csv",
        [
            {"deploymentID": "d1", "locationName": "S01", "latitude": "41.5", "longitude": "76.25", "cameraID": "c7",
             "deploymentStart": start, "deploymentEnd": end, "deploymentGroups": "session:2024 | area:naryn"},
            {"deploymentID": "d2", "locationName": "S02", "latitude": "41.6", "longitude": "76.35", "cameraID": "c8",
             "deploymentStart": start, "deploymentEnd": end},
        ],
    )  # fmt: skip
    about = [("m1", "d1", "2024-05-04T10:00:00+06:00", "a"), ("m2", "d2", "2024-05-06T11:00:00+06:00", "b"),
             ("m3", "d2", "2024-05-06T11:01:00+06:00", "c")]  # fmt: skip
    write_csv(
        folder / "media.csv",
        [
            {"mediaID": m, "deploymentID": d, "timestamp": t, "filePath": f"media/{n}.jpg", "filePublic": "false",
             "fileMediatype": "image/jpeg"}
            for m, d, t, n in about
        ],
    )  # fmt: skip
    common = {"scientificName": "Panthera uncia", "observationType": "animal"}
    write_csv(
        folder / "observations.csv",
        [
            {"observationID": "o1", "deploymentID": "d1", "mediaID": "m1", "observationLevel": "media", "sex": "female",
             "individualID": "Aika", "bboxX": "0.1", "bboxY": "0.2", "bboxWidth": "0.5", "bboxHeight": "0.5",
             "observationTags": "bodyPart:left_flank | confidence:Excellent", **common},
            {"observationID": "o2", "deploymentID": "d2", "observationLevel": "event", "eventID": "e1",
             "eventStart": "2024-05-06T05:00:00Z", "eventEnd": "2024-05-06T05:01:00Z", "individualID": "Berk",
             **common},
            {"observationID": "o3", "deploymentID": "d1", "mediaID": "m1", "observationLevel": "media",
             "observationType": "human"},
        ],
    )  # fmt: skip
    profile = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{version}/camtrap-dp-profile.json"
    resources = [{"name": name, "path": f"{name}.csv"} for name in ("deployments", "media", "observations")]
    write_json(folder / "datapackage.json", {"profile": profile, "resources": resources})
    return folder


def coco(folder):
    photos(folder, "images/a.jpg", "images/b.jpg")
    images = [
        {
            "id": 1,
            "file_name": "a.jpg",
            "width": 200,
            "height": 100,
            "location": "S01",
            "datetime": "2024-05-04 10:00:00",
        },
        {"id": 2, "file_name": "b.jpg", "width": 400, "height": 200, "location": "S02", "datetime": "NA"},
    ]
    annotations = [
        {"id": 11, "image_id": 1, "category_id": 1, "bbox": [20, 20, 100, 50], "name": "Aika", "viewpoint": "left"},
        {"id": 12, "image_id": 2, "category_id": 1, "segmentation": [[40, 40, 240, 40, 240, 140]], "name": "____"},
        {"id": 13, "image_id": 2, "category_id": 0},
    ]
    categories = [{"id": 0, "name": "empty"}, {"id": 1, "name": "snow leopard"}]
    return write_json(
        folder / "annotations" / "train.json", {"images": images, "annotations": annotations, "categories": categories}
    )


def wildlife_insights(folder):
    photos(folder, "d1/a.jpg", "d2/a.jpg")
    common = {"project_id": "p", "genus": "Panthera", "species": "uncia", "common_name": "Snow Leopard",
              "is_blank": "0", "wi_taxon_id": "t7",
              "identified_by": "Ann"}  # fmt: skip
    write_csv(
        folder / "images_p.csv",
        [
            {**common, "deployment_id": "d1", "image_id": "i1", "filename": "a.jpg", "timestamp": "2024-05-04 10:00:00",
             "individual_id": "Aika", "sex": "Female"},
            {**common, "deployment_id": "d2", "image_id": "i2", "filename": "a.jpg",
             "timestamp": "2024-05-06 11:00:00"},
            {**common, "deployment_id": "d2", "image_id": "i3", "filename": "x.jpg", "timestamp": "2024-05-06 12:00:00",
             "is_blank": "1"},
        ],
    )  # fmt: skip
    write_csv(
        folder / "deployments.csv",
        [
            {"project_id": "p", "deployment_id": d, "placename": s, "latitude": y, "longitude": "76.2",
             "start_date": "2024-05-01 00:00:00", "end_date": "2024-09-30 00:00:00"}
            for d, s, y in (("d1", "S01", "41.5"), ("d2", "S02", "41.6"))
        ],
    )  # fmt: skip
    return folder


def timelapse_csv(folder):
    photos(folder, "S01/a.jpg", "S02/a.jpg")
    return write_csv(
        folder / "TimelapseData.csv",
        [
            {"RootFolder": "x", "File": "a.jpg", "RelativePath": "S01", "Date": "04-May-2024", "Time": "10:00:00",
             "DeleteFlag": "false", "Individual": "Aika", "Flank": "LF", "Note0": "scar"},
            {"RootFolder": "x", "File": "a.jpg", "RelativePath": "S02", "Date": "06-May-2024", "Time": "11:00:00",
             "DeleteFlag": "false", "Individual": "", "Flank": "right side"},
            {"RootFolder": "x", "File": "b.jpg", "RelativePath": "S02", "DeleteFlag": "true"},
        ],
    )  # fmt: skip


def timelapse_ddb(folder):
    photos(folder, "S01/a.jpg", "S02/a.jpg")
    with sqlite3.connect(folder / "TimelapseData.ddb") as database:
        database.executescript(
            "CREATE TABLE DataTable (Id INTEGER PRIMARY KEY, File TEXT, RelativePath TEXT, DateTime DATETIME, "
            "DeleteFlag "
            "TEXT, Individual TEXT);"
            "INSERT INTO DataTable VALUES (1, 'a.jpg', 'S01', '2024-05-04 10:00:00', 'false', 'Aika'),"
            "(2, 'a.jpg', 'S02', '2024-05-06 11:00:00', 'false', '');"
            "CREATE TABLE DetectionCategories (category TEXT, label TEXT);"
            "INSERT INTO DetectionCategories VALUES ('1', 'animal'), ('2', 'person');"
            "CREATE TABLE Detections (detectionID INTEGER, category TEXT, conf REAL, bbox TEXT, Id INTEGER);"
            "INSERT INTO Detections VALUES (1, '1', 0.9, '0.1, 0.2, 0.5, 0.5', 1), (2, '2', 0.9, '0, 0, 0.1, 0.1', 1);"
        )
    database.close()
    return folder / "TimelapseData.ddb"


def wildbook(folder):
    photos(folder, "a.jpg", "b.jpg", "c.jpg")
    book = openpyxl.Workbook()
    head = ["Encounter.mediaAsset0", "Encounter.mediaAsset1", "MarkedIndividual.individualID", "Encounter.state",
            "Encounter.year", "Encounter.month", "Encounter.day", "Encounter.hour", "Encounter.minutes",
            "Encounter.genus", "Encounter.specificEpithet", "Encounter.locationID", "Encounter.verbatimLocality",
            "Encounter.decimalLatitude", "Encounter.decimalLongitude", "Annotation0.bbox", "Annotation0.ViewPoint",
            "Encounter.occurrenceID"]  # fmt: skip
    book.active.append(head)
    cat = ["Panthera", "uncia", "naryn"]
    book.active.append(["a.jpg", "b.jpg", "Aika", "approved", 2024, 5, 4, 10, 0, *cat, "S01", 41.5, 76.25,
                        "[20, 20, 100, 50]", "left", "occ1"])  # fmt: skip
    book.active.append(["c.jpg", None, "Berk", "unidentifiable", 2024, None, None, None, None, *cat, "S02", 41.6, 76.3])
    book.save(folder / "wildbook.xlsx")
    return folder / "wildbook.xlsx"


def hotspotter(folder):
    photos(folder, "images/a.jpg", "images/b.jpg")
    (folder / "_hsdb").mkdir()
    tables = {
        "name": "# name table\n# NumData 1\n# nid, name\n 2, Aika\n",
        "image": "# image table\n# NumData 2\n# gid, gname, aif\n 1, a.jpg, 1\n 2, b.jpg, 0\n",
        "chip": "# chip table\n# NumData 2\n# ChipID, ImgID, NameID, roi[tl_x  tl_y  w  h], theta, Side\n"
        " 1,  1,  2,  [ 20  20 100  50],  0.00, left\n 2,  2,  1,  [ 50  25 100  50],  1.5707963, \n",
    }
    for name, text in tables.items():
        (folder / "_hsdb" / f"{name}_table.csv").write_text(text)
    return folder


def ibeis(folder):
    photos(folder, "_ibsdb/images/a.jpg", "_ibsdb/images/b.jpg")
    path = folder / "_ibsdb" / "_ibeis_database.sqlite3"

    def u(number):
        return f"X'{uuid.UUID(f'{number:08}-0001-0002-8000-000000000000').bytes_le.hex()}'"  # as ibeis stores them

    with sqlite3.connect(path) as database:
        database.executescript(
            "CREATE TABLE images (image_rowid INTEGER, image_uuid TEXT, image_uri TEXT, image_width INTEGER, "
            "image_height "
            "INTEGER, image_time_posix INTEGER);"
            f"INSERT INTO images VALUES (1, {u(1)}, 'a.jpg', 200, 100, 1714816800), (2, {u(2)}, 'b.jpg', 200, 100, -1);"
            "CREATE TABLE names (name_rowid INTEGER, name_text TEXT, name_sex INTEGER);"
            "INSERT INTO names VALUES (1, 'Aika', 0);"
            "CREATE TABLE species (species_rowid INTEGER, species_text TEXT);"
            "INSERT INTO species VALUES (1, 'snow_leopard');"
            "CREATE TABLE annotations (annot_rowid INTEGER, annot_uuid TEXT, annot_xtl INTEGER, annot_ytl INTEGER, "
            "annot_width INTEGER, annot_height INTEGER, annot_theta REAL, annot_viewpoint_int INTEGER, annot_quality "
            "INTEGER, image_rowid INTEGER, name_rowid INTEGER, species_rowid INTEGER);"
            f"INSERT INTO annotations VALUES (1, {u(3)}, 20, 20, 100, 50, 0, 5, 4, 1, 1, 1),"
            f"(2, {u(4)}, 20, 20, 100, 50, 0, 8, NULL, 2, 0, 1);"
            "CREATE TABLE annotmatch (annotmatch_rowid INTEGER PRIMARY KEY, annot_rowid1 INTEGER, annot_rowid2 "
            "INTEGER, annotmatch_evidence_decision INTEGER, annotmatch_meta_decision INTEGER, annotmatch_confidence "
            "INTEGER, annotmatch_reviewer TEXT, annotmatch_posixtime_modified INTEGER, annotmatch_tag_text TEXT);"
            "INSERT INTO annotmatch VALUES (1, 1, 2, 0, NULL, 3, 'user:ann@field', 1714900000, 'scenerymatch');"
        )
    database.close()
    return folder


def earthtoolsmaker(folder):
    photos(folder, "database/naryn/Aika/images/left_flank/x 1.jpg", "database/naryn/Aika/images/head/x 1.jpg",
           "database/sarychat/Berk/images/misc/y.jpg")  # fmt: skip
    (folder / "catalog_index.yaml").write_text('catalog_version: "1.0.0"\nindividuals: []\n')
    return folder


def wildlife_datasets(folder):
    photos(folder, "images/a.jpg", "images/b.jpg")
    return write_csv(
        folder / "metadata.csv",
        [
            {"image_id": "7", "identity": "Aika", "path": "images/a.jpg", "bbox": "[20, 20, 100, 50]",
             "date": "2024-05-04 10:00:00", "position": "left"},
            {"image_id": "8", "identity": "unknown", "path": "images/b.jpg"},
        ],
    )  # fmt: skip


def traptagger(folder):
    photos(folder, "S01/a.jpg", "S02/b.jpg")
    common = {"survey": "naryn", "latitude": "41.5", "longitude": "76.25"}
    return write_csv(
        folder / "traptagger.csv",
        [
            {"image": "S01/a.jpg", "trapgroup": "S01", "capture": "1", "timestamp": "2024-05-04 10:00:00", **common,
             "image_labels": "[Snow leopard]", "image_individuals": "[Aika;Berk]"},
            {"image": "S02/b.jpg", "trapgroup": "S02", "capture": "2", "timestamp": "2024-05-06 11:00:00", **common,
             "image_labels": "[Snow leopard]", "image_individuals": "[None]"},
            {"image": "S02/c.jpg", "trapgroup": "S02", "image_labels": "[None]", "image_individuals": "[None]",
             **common},
        ],
    )  # fmt: skip


def folders(folder):
    return photos(folder, "Aika/left/a.jpg", "Aika/right flank/a.jpg", "Berk/LF/b.jpg", "_unidentified/left/c.jpg")


def table(folder):
    photos(folder, "pics/a.jpg", "pics/b.jpg")
    return write_csv(
        folder / "cats.csv",
        [
            {"File Name": "pics\\a.jpg", "Cat ID": "Aika", "Side": "left flank", "Date": "17.05.2024", "Time": "10:00",
             "Site": "S01", "Lat": "41,5", "Lon": "76,25", "Scar?": "yes"},
            {"File Name": "pics\\b.jpg", "Cat ID": "?", "Side": "R", "Date": "18.05.2024", "Time": "11:00",
             "Site": "S02",
             "Lat": "41,6", "Lon": "76,35"},
        ],
        ";",
        "utf-8-sig",
    )  # fmt: skip


# For each importer: the functions that write a source of its format
SOURCES = {
    "camtrap_dp": [camtrap_dp],
    "coco": [coco],
    "earthtoolsmaker": [earthtoolsmaker],
    "folders": [folders],
    "hotspotter": [hotspotter],
    "ibeis": [ibeis],
    "megadetector": [megadetector],
    "speciesnet": [speciesnet],
    "table": [table],
    "timelapse": [timelapse_csv, timelapse_ddb],
    "traptagger": [traptagger],
    "wildbook": [wildbook],
    "wildlife_datasets": [wildlife_datasets],
    "wildlife_insights": [wildlife_insights],
}
EACH = [(name, make) for name, makers in SOURCES.items() for make in makers]
IDS = [make.__name__ for _, make in EACH]
REAL = Path(__file__).parents[2] / "shared" / "data" / "formats"
