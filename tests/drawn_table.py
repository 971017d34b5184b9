"""A small survey as tables: two animals seen from both sides, one from the left only, and an unidentified one."""

import csv

STATIONS = """Station,area,Longitude,Latitude,Setup_date,Retrieval_date,Problem1_from,Problem1_to,habitat
S1,naryn,76.10,41.50,2023-05-01,2023-05-30,,,ridge
S2,naryn,76.20,41.52,2023-05-01,2023-05-30,2023-05-11,2023-05-15,cliff
S3,naryn,76.15,41.45,2023-05-01T12:00,2023-05-30,,,ridge
"""
ROWS = [  # individual, part, station, time, encounter, sex
    ("aika", "left_flank", "S1", "2023-05-02T10:00:00", "e1", "f"),
    ("aika", "right_flank", "S1", "2023-05-02T10:00:04", "e1", ""),
    ("aika", "left_flank", "S2", "2023-05-08T03:00:00", "e2", ""),
    ("aika", "left_flank", "S2", "2023-05-08T09:00:00", "e3", ""),  # the same occasion: a second count
    ("bars", "right_flank", "S1", "2023-05-03T04:00:00", "e4", "m"),
    ("bars", "left_flank", "S3", "2023-05-20T05:00:00", "e5", ""),
    ("bars", "right_flank", "S3", "2023-05-28T05:00:00", "e6", ""),
    ("cholpon", "left_flank", "S2", "2023-05-21T05:00:00", "e7", ""),
    ("", "left_flank", "S2", "2023-05-22T05:00:00", "e8", ""),
]
HEAD = ("path", "individual", "body_part", "location", "station", "camera", "timestamp", "encounter", "sex")


def write_catalog(folder, rows=ROWS, stations=STATIONS):
    """Write catalog.csv and stations.csv; there are no photos."""
    folder.mkdir(exist_ok=True)
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEAD)
        for n, (name, part, station, time, encounter, sex) in enumerate(rows):
            camera = f"{station}a" if station else ""
            writer.writerow((f"p{n}.jpg", name, part, "naryn", station, camera, time, encounter, sex))
    if stations is not None:
        (folder / "stations.csv").write_text(stations, encoding="utf-8")
    return folder
