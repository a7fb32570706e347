"""Real Chinese, Japanese and Thai text passes every rule on words, lines and sentences, in every preset."""

from functools import cache
from pathlib import Path

import pytest

from m3w_builder.config import Config, parse, presets
from m3w_builder.extract import extract
from m3w_builder.rules import Node, Verdict, decide, measure_texts, node_drops, remaining
from m3w_builder.types import Document, Page, Text

SITES = Path(__file__).parents[2] / "shared/data/sites/debian-handbook"
# The preamble and first articles of the Universal Declaration of Human Rights: no page in Thai is at hand.
THAI = (
    "โดยที่การยอมรับนับถือเกียรติศักดิ์ประจำตัว และสิทธิเท่าเทียมกันและโอนมิได้ของบรรดา สมาชิก ทั้ง หลายแห่งครอบครัว"
    "มนุษย์เป็นหลักมูลเหตุแห่งอิสรภาพ ความยุติธรรม และสันติภาพในโลก",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วย"
    "เจตนารมณ์แห่งภราดรภาพ",
    "ทุกคนย่อมมีสิทธิและอิสรภาพบรรดาที่กำหนดไว้ในปฏิญญานี้ โดยปราศจากความแตกต่างไม่ว่าชนิดใดๆ ดังเช่น เชื้อชาติ ผิว "
    "เพศ ภาษา ศาสนา ความคิดเห็นทางการเมืองหรือทางอื่น เผ่าพันธุ์แห่งชาติ หรือสังคม ทรัพย์สิน กำเนิด หรือสถานะอื่นๆ",
    "คนทุกคนมีสิทธิในการดำรงชีวิต เสรีภาพ และความมั่นคงแห่งตัวตน",
    "บุคคลใดๆ จะถูกยึดเป็นทาส หรือต้องภาระจำยอมใดๆ มิได้ ความเป็นทาสและการค้าทาสเป็นห้ามขาดทุกรูป",
)


@cache
def documents(folder: str, language: str) -> tuple[Document, ...]:
    """Returns the documents of real pages that are in a language, not only in part translated into it."""
    if not (SITES / folder).exists():
        pytest.skip(f"{SITES / folder} is not here")
    pages = (
        Page(f"https://example.org/{path.name}", path.read_bytes(), "text/html; charset=utf-8")
        for path in sorted((SITES / folder).rglob("*.html"))
    )
    found = (document for page in pages for document in extract(page, Config())[0])
    return tuple(
        document
        for document in found
        if document.kind == "interleaved"
        and document.language == language
        and document.scores["unspaced_words"] > 0.5
    )


def verdicts(document: Document, name: str) -> list[Verdict]:
    """Returns what a preset, its languages aside, says of a document and its paragraphs."""
    config = parse({"preset": name, "rules": {"languages": [], "text_roles": ["paragraph"]}}).rules
    counts, scores = measure_texts(document.texts, document.language)
    nodes = [
        Node("text", text.role, count) for text, count in zip(document.texts, counts, strict=True)
    ]
    drops = node_drops(nodes, document.language, config)
    scores = {**remaining(scores, nodes, drops), "language_score": 1.0}
    whole = decide(scores, document.language, config)
    return [*drops.values(), *([whole] if whole else [])]


# Not looked at: repetition and "{", which a handbook's commands bring with them.
ABOUT_WORDS = {
    *("words_too_few", "mean_word_length", "alpha_words", "stop_words", "stop_word_ratio"),
    *("special_characters", "punctuation", "terminal_lines", "short_lines"),
    *("newlines_per_word", "sentences_too_few", "text_stop_word_ratio", "text_punctuation"),
    *("text_uppercase", "text_digits", "text_word_length", "hash_ratio", "ellipsis_ratio"),
}
LANGUAGES = [("zh-CN", "zh"), ("ja-JP", "ja")]


@pytest.mark.parametrize("name", presets())
@pytest.mark.parametrize(("folder", "language"), LANGUAGES)
def test_real_pages_without_spaces_pass_rules_on_words(
    folder: str, language: str, name: str
) -> None:
    pages = documents(folder, language)
    assert len(pages) >= 3
    broken = [v for page in pages for v in verdicts(page, name) if v[0] in ABOUT_WORDS]
    assert broken == []


@pytest.mark.parametrize("name", presets())
def test_thai_passes_every_rule(name: str) -> None:
    texts = tuple(Text(text) for text in THAI)
    document = Document("0", "interleaved", "https://example.org/", texts, language="th")
    assert verdicts(document, name) == []
