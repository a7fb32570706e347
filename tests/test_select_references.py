"""What a document's own row decides: through the file, so that every column that a rule looks at is read."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from measured import page, pair, prose

from m3w_builder.config import parse
from m3w_builder.dedup import text_key
from m3w_builder.select.captures import settle
from m3w_builder.select.outcomes import Dropped
from m3w_builder.select.references import references
from m3w_builder.tables import document_row, write_table
from m3w_builder.types import Image, OptOut, Text

URL = "https://a.example/1"
NATURAL = (  # passes OBELICS
    "The harbour of the old town lies between two hills, and its boats leave with the morning tide to fish. "
    "People have lived here since the bronze age; they built walls of grey stone that still stand above the water. "
    "Visitors come by ferry in summer, walk along the quay, and eat what was caught that day in small kitchens."
)
ONE_FLAGGED = "The town once had a pornstar of its own, and they say that she was a friend of all."
OTHER_FLAGGED = "In those years it was said that porno was sold here to the men from the big ships."
DIGITS = " ".join(f"n{n}" for n in range(1000, 1030))
FLAGGED = "Two pornstars and a gangbang in the harbour."
MAIL = "Write to the keeper of the harbour, jane.doe@harbour-example.org, before you come."
QUESTION = (
    "Which of the two swans on the grey lake is the older one, and which of them is the younger?"
)


def referred(tmp_path: Path, document, tables):
    path = tmp_path / "d.parquet"
    write_table(path, "documents", [document_row(document, text_key(document.texts))])
    (found,) = references(path, parse(tables))
    return found


def reason(found) -> str:
    outcome = settle(found)
    return outcome.reject.reason if isinstance(outcome, Dropped) else ""


def gone(found) -> dict[int, str]:
    return {index: why for index, (why, _) in found["drops"].items()}


def bound(subject, score, **limits):
    return {"rules": {"bounds": [{"subject": subject, "score": score, **limits}]}}


HEADING = Text("2024", "heading")
LABEL = Text("Harbour")


@pytest.mark.parametrize(
    ("tables", "nodes", "drops"),
    [
        ({}, ["2024"], {}),  # Flamingo drops no single text
        ({"preset": "obelics"}, ["Read on"], {1: "text_too_short"}),
        ({"rules": {"max_text_digits": 0.5}}, [DIGITS], {1: "text_digits"}),
        ({"rules": {"max_text_digits": 0.5, "text_rules": False}}, [DIGITS], {}),
        ({"rules": {"min_text_words": 3}}, [HEADING], {}),
        (
            {"rules": {"min_text_words": 3, "text_roles": ["heading"], "label_distance": 0}},
            [HEADING],
            {1: "text_too_short"},
        ),
        ({"rules": {"min_text_words": 3}}, [LABEL], {}),  # the picture is next to it
        (
            {"rules": {"min_text_words": 3}},
            [LABEL, HEADING, HEADING],
            {1: "text_too_short"},  # three nodes from the picture
        ),
        ({"rules": {"min_text_words": 3, "label_distance": 0}}, [LABEL], {1: "text_too_short"}),
        (bound("text", "words", max=20), [DIGITS], {0: "bound_words", 1: "bound_words"}),
        (
            {"rules": {"per_language": {"en": {"max_text_digits": 0.5}}}},
            [DIGITS],
            {1: "text_digits"},
        ),
        ({"rules": {"per_language": {"de": {"max_text_digits": 0.5}}}}, [DIGITS], {}),
        ({"privacy": {"email": "drop"}}, [MAIL], {1: "personal_data"}),
        ({"privacy": {"phone": "drop"}}, [MAIL], {}),
        ({}, [MAIL], {}),  # masked by write
        ({"safety": {"scope": "node"}}, [FLAGGED], {1: "explicit_text"}),
        ({"safety": {"text_scope": "node"}}, [FLAGGED], {1: "explicit_text"}),
        ({"safety": {"text_scope": "both"}}, [FLAGGED], {1: "explicit_text"}),
        ({"safety": {"scope": "node", "text_scope": "both"}}, [FLAGGED], {1: "explicit_text"}),
        ({"preset": "obelics"}, [ONE_FLAGGED], {1: "explicit_text"}),  # no minimum number
        ({"privacy": {"email": "drop"}}, [Text(MAIL, "heading")], {1: "personal_data"}),
    ],
)
def test_texts_that_go(tmp_path, tables, nodes, drops):
    found = referred(tmp_path, page(URL, NATURAL, *nodes), tables)
    assert gone(found) == drops
    assert reason(found) == ("no_text_left" if len(drops) == found["texts"] else "")


def test_documents_are_judged_by_the_texts_that_stay(tmp_path):
    document = page(URL, prose(1, 36), DIGITS)
    assert reason(referred(tmp_path, document, {})) == ""
    found = referred(tmp_path, document, {"rules": {"max_text_digits": 0.5}})
    assert found["verdict"] == ("words_too_few", "36 < 50")
    assert found["words"] == 36
    assert found["characters"] == len(document.texts[0].text)


def test_copies_are_told_by_the_whole_text(tmp_path):
    document = page(URL, NATURAL, MAIL)
    found = referred(tmp_path, document, {"privacy": {"email": "drop"}})
    assert found["drops"]
    assert found["signature"] == document.signature
    assert found["text_sha256"] == text_key(document.texts)


@pytest.mark.parametrize(
    "tables", [{"privacy": {"email": "drop"}}, {"rules": {"max_text_words": 12, "min_words": 0}}]
)
def test_document_of_no_text_that_stays_says_so(tmp_path, tables):
    found = referred(tmp_path, page(URL, f"{MAIL} And so on, it says."), tables)
    assert found["verdict"] == ("no_text_left", next(iter(gone(found).values())))
    wordless = referred(tmp_path, page(URL), {**tables, "rules": {"min_words": 0, "languages": []}})
    assert reason(wordless) != "no_text_left"  # it had none


@pytest.mark.parametrize(
    ("document", "tables", "expected"),
    [
        (page(URL, NATURAL), {}, ""),
        (page(URL, NATURAL, FLAGGED), {}, "explicit_text"),
        (page(URL, NATURAL, FLAGGED), {"safety": {"max_flagged": 0.2}}, ""),
        (page(URL, NATURAL, FLAGGED), {"safety": {"scope": "node"}}, ""),  # the text alone
        (page(URL, NATURAL, FLAGGED), {"safety": {"text_scope": "node"}}, ""),
        (page(URL, NATURAL, FLAGGED), {"safety": {"text_scope": "document", "scope": "node"}}, "explicit_text"),
        (page(URL, NATURAL, FLAGGED), {"preset": "obelics"}, ""),  # the text alone, first
        (page(URL, NATURAL, ONE_FLAGGED, OTHER_FLAGGED), {"safety": {"text_scope": "node"}}, ""),  # one in each
        (page(URL, NATURAL, ONE_FLAGGED, OTHER_FLAGGED), {"safety": {"text_scope": "both"}}, "explicit_text"),
        # Flagged words of a text that goes are not those of the document.
        (page(URL, NATURAL, FLAGGED), {"rules": {"min_text_words": 9, "label_distance": 0}}, ""),
        (pair(URL, "a", FLAGGED), {}, "explicit_text"),
        (pair(URL, "a", FLAGGED), {"safety": {"scope": "node"}}, "explicit_text"),
        (pair(URL, "a", "A boat in the harbour"), {"safety": {"scope": "node"}}, ""),
        (pair(URL, "a", MAIL), {"privacy": {"email": "drop"}}, "personal_data"),
        (pair(URL, "a", MAIL), {}, ""),
        (page("https://www.xxx-harbour.example/1", NATURAL), {}, ""),
        (page("https://harbour.xxx/1", NATURAL), {}, "blocked_url"),
        (page("https://harbour.xxx/1", NATURAL), {"safety": {"block_hosts": False}}, ""),
        (page(URL, NATURAL), {"rules": {"languages": ["de"]}}, "language"),
        (pair(URL, "a", "A boat"), {"rules": {"pair_languages": ["de"]}}, "pair_language"),
        (pair(URL, "a", "A boat"), {"rules": {"pair_languages": ["en"]}}, ""),
        (pair(URL, "a", "A boat"), bound("image_text", "unigrams", min=3), "bound_unigrams"),
        (page(URL, NATURAL), bound("document", "words", max=10), "bound_words"),
        (page(URL, NATURAL), bound("document", "taste", min=0.5), ""),  # was not scored
        (page(URL, NATURAL), {"rights": {"licences": ["cc-by"]}}, "licence"),
        (pair(URL, "a", "A boat"), {"rights": {"licences": ["cc-by"]}}, "licence"),
    ],
)  # fmt: skip
def test_verdicts(tmp_path, document, tables, expected):
    assert reason(referred(tmp_path, document, tables)) == expected


def test_a_page_scorer_counts_whatever_the_scope(tmp_path):
    for scope in ("document", "node"):
        for document in (page(URL, NATURAL), pair(URL, "a", "A boat in the harbour")):
            scored = replace(document, scores={**document.scores, "explicit": 0.9})
            tables = {"safety": {"scope": scope}}
            assert reason(referred(tmp_path, scored, tables)) == "explicit_text"


LICENCE = "https://creativecommons.org/licenses/by/4.0/"


def test_licence_that_is_asked_for_stays(tmp_path):
    tables = {"rights": {"licences": ["cc-by"]}}
    assert reason(referred(tmp_path, page(URL, NATURAL, licence=LICENCE), tables)) == ""


NOAI = (OptOut("meta-robots", URL, "noai", ""),)
NOIMAGEAI = (OptOut("meta-robots", URL, "noimageai", ""),)


def lists(tmp_path, **lines):
    for name, line in lines.items():
        (tmp_path / f"{name}.txt").write_text(f"{line}\n")
    return {name: str(tmp_path / f"{name}.txt") for name in lines}


def test_order_of_rights_is_removed_opted_out_blocked_licence_then_rules(tmp_path):
    """One after the other is taken away: the next one is the reason."""
    named = lists(tmp_path, removed=URL, blocked="a.example")
    for bad in (page(URL, "Too short. " + MAIL, FLAGGED), pair(URL, "a", f"{MAIL} {FLAGGED}")):
        document = replace(bad, optouts=NOAI)
        tables = {
            "rights": {"removed": [named["removed"]], "licences": ["cc-by"]},
            "safety": {"block_lists": [named["blocked"]]},
            "privacy": {"email": "drop"},
        }
        order = [reason(referred(tmp_path, document, tables))]
        tables["rights"]["removed"] = []
        order.append(reason(referred(tmp_path, document, tables)))
        document = bad
        order.append(reason(referred(tmp_path, document, tables)))
        tables["safety"] = {}
        order.append(reason(referred(tmp_path, document, tables)))
        tables["rights"] = {}
        order.append(reason(referred(tmp_path, document, tables)))
        assert order[:4] == ["removed", "opted_out", "blocked_url", "licence"]
        assert order[4] == ("personal_data" if bad.kind == "image_text" else "words_too_few")


def test_takedown_is_of_the_page_the_address_it_declares_or_its_domain(tmp_path):
    document = page(f"{URL}?utm_source=mail", NATURAL, canonical="https://b.example/other")
    for number, (line, expected) in enumerate((
        (URL, "removed"), ("https://b.example/other", "removed"), ("a.example", "removed"),
        (f"{URL}2", ""), ("https://a.example/", ""), ("https://a.example/*", "removed"),
    )):  # fmt: skip
        # A process reads a list once: another takedown is another list, or another stage.
        folder = tmp_path / f"{number}"
        folder.mkdir()
        tables = {"rights": {"removed": [lists(folder, removed=line)["removed"]]}}
        found = referred(tmp_path, document, tables)
        assert reason(found) == expected, line
        assert not expected or "removed.txt" in found["verdict"][1]


def test_no_verdict_on_a_text_hides_an_opt_out(tmp_path):
    against = evaluation(tmp_path)
    for tables in (
        {"privacy": {"email": "drop"}},
        {"preset": "obelics"},
        {"decontaminate": {"against": [against]}},
    ):
        for text in (MAIL, FLAGGED, QUESTION, "Short."):
            refused = replace(page(URL, text), optouts=NOAI)
            assert reason(referred(tmp_path, refused, tables)) == "opted_out"
            for optouts in (NOAI, NOIMAGEAI):
                refused = replace(pair(URL, "a", text), optouts=optouts)
                assert reason(referred(tmp_path, refused, tables)) == "opted_out"


def test_page_that_withholds_its_images_says_so_on_them(tmp_path):
    found = referred(tmp_path, page(URL, NATURAL, optouts=NOIMAGEAI), {})
    assert found["verdict"] is None
    assert found["withheld"].startswith("meta-robots: noimageai")


def evaluation(tmp_path: Path) -> str:
    path = tmp_path / "vqa.parquet"
    pq.write_table(pa.table({"question": [QUESTION]}), path)
    return str(path)


@pytest.mark.parametrize("document", [page(URL, NATURAL, QUESTION), pair(URL, "a", QUESTION)])
def test_evaluation_texts_are_removed_or_reported(tmp_path, document):
    against = evaluation(tmp_path)
    found = referred(tmp_path, document, {"decontaminate": {"against": [against]}})
    reason_, detail = found["verdict"]
    assert reason_ == "evaluation_text"
    assert detail.startswith("vqa.parquet: ")
    noted = referred(
        tmp_path, document, {"decontaminate": {"against": [against], "mode": "report"}}
    )
    assert (noted["verdict"], noted["contaminated"]) == (None, detail)
    assert "contaminated" not in referred(tmp_path, document, {})
    other = page(URL, NATURAL) if document.kind == "interleaved" else pair(URL, "a", "A boat")
    clean = referred(tmp_path, other, {"decontaminate": {"against": [against]}})
    assert clean["verdict"] is None
    assert "contaminated" not in clean


def test_declared_sizes_travel_with_the_images(tmp_path):
    document = page(URL, NATURAL, Image("https://cdn.example/b.jpg", width=12, height=None))
    found = referred(tmp_path, document, {})
    assert [media[4] for media in found["media"]] == [(12, None), (None, None)]
