"""The words of the app: in each language the same, each used, and none in scripts or styles."""

import html
import re

import numpy as np
import pytest
from web_small import PACKAGE, client, client_of, folder, make_catalog

from snowmatch.core.version import __version__
from snowmatch.review.counting import Counts
from snowmatch.review.identities import answer_pair
from snowmatch.views.counting import format_counts
from snowmatch.web import texts
from snowmatch.web.page import called, with_calls
from snowmatch.web.state import State

__all__ = ["client", "folder"]  # fixtures

# --- words ------------------------------------------------------------------------------------------------------------


def test_all_languages_have_the_same_words():
    def page_words(language):
        return {key: word for key, word in texts.words_of(language).items() if not key.startswith("told.")}

    english = page_words("en")
    for language in texts.LANGUAGES:
        words = page_words(language)
        assert words.keys() == english.keys()
        forms = {texts.plural_form(language, n) for n in range(200)}
        for key, word in words.items():
            assert isinstance(word, str) == isinstance(english[key], str), key
            if not isinstance(word, str):
                assert set(word) == forms, (language, key)
            holes = [set(re.findall(r"{(\w+)}", str(each))) for each in (word, english[key])]
            assert holes[0] == holes[1], (language, key)


def test_the_app_says_of_an_uncertain_number_what_the_command_says():
    counts = Counts((), np.zeros((1, 0), int), 0, 2.0)
    assert format_counts(counts).endswith(texts.translator("en")("count.none", n=2))


@pytest.mark.parametrize("language", texts.LANGUAGES)
def test_all_plural_forms_tell_the_same_values(language):
    """In Russian, the form for 1 is also that for 21: it cannot leave the number out if the others tell it."""
    for key, word in texts.words_of(language).items():
        if not isinstance(word, str):
            holes = [set(re.findall(r"{(\w+)}", form)) for form in word.values()]
            assert all(each == holes[0] for each in holes), key


def test_every_word_that_pages_use_exists_and_none_is_spare():
    sources = [p.read_text(encoding="utf-8") for p in (*PACKAGE.rglob("*.html"), *PACKAGE.rglob("*.py"))]
    used = {
        key for text in sources for key in re.findall(r"""\bt(?:ranslator_of\(request\))?\(f?['"]([\w.]+?)['"]""", text)
    }
    used |= {key for text in sources for key in re.findall(r'"(nav\.\w+)"', text)}
    starts = {key for text in sources for key in re.findall(r"""\bt\('([\w.]+[._])' ~""", text)} | {"answer.no."}
    known = {key for key in texts.words_of("en") if not key.startswith("told.")}  # messages have theirs by their codes
    assert used - starts - {"answer.no."} <= known
    spare = {key for key in known - used if not key.startswith(tuple(starts))}
    scripts = [p.read_text(encoding="utf-8") for p in PACKAGE.rglob("*.js")]
    # Scripts and routes name the words of a page by their last part, such as words.left or "left_flank"
    named = {word for text in (*sources, *scripts) for word in re.findall(r"""["'.](\w+)\b""", text)}
    spare = {key for key in spare if key.rpartition(".")[2] not in named}
    # The survey's tables name the words of their columns and kinds
    tables = [p.read_text(encoding="utf-8") for p in (PACKAGE.parent / "survey").glob("*.py")]
    columns = {word for text in tables for word in re.findall(r"""["'](\w+)["']""", text)}
    begins = tuple(f"{kind}." for kind in ("col", "gap", "model"))
    spare = {key for key in spare if not (key.startswith(begins) and key.partition(".")[2] in columns)}
    assert not spare


@pytest.mark.parametrize(
    ("name", "english", "russian"),
    [
        ("aika", "aika", "aika"),
        (None, "no name", "без имени"),
        ("unnamed a2b815b2044da69b6", "without a name (a2b815b2)", "без имени (a2b815b2)"),
        ("unnamed 7", "unnamed 7", "unnamed 7"),  # the table called it so
    ],
)
def test_an_individual_without_a_name_is_called_in_short(name, english, russian):
    assert [called(texts.translator(language), name) for language in ("en", "ru")] == [english, russian]
    if name is not None:
        text = with_calls(texts.translator("en"), f"{name} and {name}: 3 encounters")
        assert text == f"{english} and {english}: 3 encounters"


@pytest.mark.parametrize(
    ("asked", "remembered", "accepted", "language"),
    [
        ("ru", "en", "en", "ru"),
        (None, "ru", "en", "ru"),
        (None, None, "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        (None, None, "kk,en;q=0.5,ru;q=0.7", "ru"),
        ("xx", "yy", "zz;q=x,,;q=", "en"),
        (None, None, "", "en"),
    ],
)
def test_the_language_is_chosen(asked, remembered, accepted, language):
    assert texts.choose_language(asked, remembered, accepted) == language


def test_the_language_is_remembered(client):
    assert 'lang="ru"' in client.get("/?lang=ru").text
    assert 'lang="ru"' in client.get("/photos").text


def test_the_answer_to_a_form_leads_to_a_page_in_the_other_language(client):
    """The address of a form shows nothing to who only follows a link."""
    for address, above in (("/jobs/start", "/jobs"), ("/observer", "/"), ("/identify/x/add", "/identify")):
        text = client.post(address, data={"kind": "none", "observer": "machine"}, headers={"accept": "text/html"}).text
        (link,) = re.findall(r'<a href="([^"]*)" lang="ru"', text)
        assert link == f"{above}?lang=ru"
        assert client.get(above, params={"lang": "en"}).status_code == 200
    assert '<a href="?lang=ru" lang="ru"' in client.get("/photos").text


def test_numbers_on_russian_pages_have_a_comma(tmp_path):
    catalog = make_catalog(tmp_path)
    lines = ["station,location,x,y", "st0,naryn,76.1,41.2", "st1,naryn,76.25,41.31", "st2,naryn,76.4,41.1"]
    (catalog / "stations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    client, state = client_of(catalog), State(catalog, observer="asel")
    for who, said, mode in (("bek", "same", "open"), ("anna", "different", "blind")):
        state.append(lambda now, w=who, s=said, m=mode: [answer_pair(now, 0, 4, s, w, mode=m)])
    commas = 0
    for address in ("/agreement", "/dashboard/figures", "/report?coordinates=rounded:2.5"):
        text = client.get(address, params={"lang": "ru"}).text.replace(f" {__version__} ", "")
        text = re.sub(r'<(\w+)[^>]* lang="en".*?</\1>', "", text, flags=re.DOTALL)  # what is in English only
        text = html.unescape(re.sub("<[^>]*>", "|", text))
        assert re.findall(r".*\d\.\d.*", text) == [], address
        commas += len(re.findall(r"\d,\d", text))
    assert commas > 20


def test_no_page_has_scripts_or_styles_of_its_own_or_from_elsewhere():
    for path in PACKAGE.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=\"/static/)", text), path
        assert not re.search(r"<style|\sstyle=|\son\w+=|https?://", text), path
    for path in (PACKAGE / "static").iterdir():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|eval\(", path.read_text(encoding="utf-8")), (
            path
        )
