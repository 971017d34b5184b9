"""Make the pictures of the app in the docs anew: app-*.png, from the drawn survey, in Chromium.

Example: python docs/images/make_app.py /tmp/pictures          # the pictures of the docs
         python docs/images/make_app.py /tmp/pictures --out /tmp/narrow --width 360 --language ru
"""

import argparse
import csv
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/google-chrome") if Path(path).exists()), None)
WIDTH, HEIGHT, TALL = 1200, 760, 1834  # px; the dashboard is tall
BLANK = 3  # one encounter in so many has no name
QUERY = "st05_20230725_133456_1.jpg"  # a photo that is asked about, of the demo's queries
COLOURS = 256  # of the palette


def main() -> None:
    """Read the command line, and make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for the drawn survey; one that is there is used again")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--language", choices=("en", "ru"), default="en")
    given = parser.parse_args()
    catalog = survey_in(given.work)
    given.out.mkdir(parents=True, exist_ok=True)
    with serving(catalog) as address, sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": given.width, "height": HEIGHT}, locale=given.language)
        page.set_default_timeout(180_000)
        page.goto(address)
        page.wait_for_url(lambda url: "token" not in url)
        base = page.url
        page.goto(f"{base}?lang={given.language}")
        for name in looks(page, base, given.work / "demo" / "queries" / "images" / QUERY):
            page.wait_for_load_state("networkidle")
            if name == "dashboard":
                page.set_viewport_size({"width": given.width, "height": TALL})
            file = given.out / f"app-{name}.png"
            page.wait_for_timeout(800)
            page.screenshot(path=file)
            page.set_viewport_size({"width": given.width, "height": HEIGHT})
            smaller(file)
            print(file)
        browser.close()


def survey_in(work: Path) -> Path:
    """Return a catalog of the drawn survey in which some encounters have no name, and nothing is decided."""
    demo, catalog = work / "demo", work / "naryn-2025"
    if not demo.exists():
        subprocess.run([sys.executable, "-m", "snowmatch.cli", "demo", demo], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(catalog, ignore_errors=True)
    shutil.copytree(demo / "catalog", catalog)
    table = catalog / "catalog.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    number = {name: n for n, name in enumerate(dict.fromkeys(row["encounter"] for row in rows))}
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        blank = {"individual": ""}
        writer.writerows(row | (blank if number[row["encounter"]] % BLANK == 0 else {}) for row in rows)
    return catalog


@contextmanager
def serving(catalog: Path) -> Iterator[str]:
    """Run the app for a catalog; the value is its address."""
    command = [sys.executable, "-u", "-m", "snowmatch.cli", "serve", catalog, "--no-browser", "--observer", "Anna"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield next(word for word in process.stdout.readline().split() if word.startswith("http"))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def looks(page: Page, base: str, query: Path) -> Iterator[str]:
    """Bring the page to what each picture shows, and yield the picture's name."""
    page.goto(base + "review")  # the sightings are compared first
    page.wait_for_selector(".question:not([hidden])")
    page.goto(base)
    page.wait_for_selector(".waits form")
    yield "start"
    page.goto(base + "identify")
    page.set_input_files("#files", query)
    page.wait_for_selector("#work:not([hidden])")
    page.select_option("[name=body_part]", "left_flank")
    page.click("#ask")
    page.wait_for_url("**/identify/*")
    yield "answer"
    page.goto(base + "review")
    page.wait_for_selector(".question:not([hidden])")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("l")
    page.wait_for_selector(".over circle", state="attached")
    page.wait_for_selector("#said:not(.shown)", state="attached")
    yield "review"
    page.goto(base + "individuals")
    yield "individuals"
    page.locator(".animal-card a").first.click()
    page.wait_for_selector(".portraits")
    yield "individual"
    page.goto(base + "photos?view=outline")
    for n in (0, 2, 3):
        page.locator("[data-photo]").nth(n).check()
    page.wait_for_selector(".acts:not([hidden])")
    page.evaluate("scrollTo(0, 0)")
    yield "photos"
    page.goto(base + "photos")
    page.locator(".tile a").nth(2).click()
    page.wait_for_selector("#edit")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("e")
    page.wait_for_selector("#box canvas")
    yield "box"
    page.goto(base + "dashboard")
    page.wait_for_selector("#figures .card")
    yield "dashboard"
    page.goto(base + "survey")
    page.evaluate("document.querySelector('.map').closest('section').scrollIntoView({block: 'end'})")
    yield "survey"


def smaller(file: Path) -> None:
    """Store a picture with a palette."""
    from PIL import Image

    Image.open(file).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


if __name__ == "__main__":
    main()
