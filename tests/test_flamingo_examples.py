"""From a sample to a training example: phi, windows, the order of images, and seeded draws."""

import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("tokenizers", reason="the extra `train` is not installed")

from m3w_builder.flamingo.config import Examples
from m3w_builder.flamingo.data.examples import (
    Example,
    Node,
    SampleError,
    Tag,
    draws,
    example,
    look,
    nodes,
    text,
    tokenise,
    window,
)
from m3w_builder.flamingo.data.tokens import Tokenizer

BYTES = Tokenizer.bytes()
TAG = BYTES.tag
PLAIN = Examples(next_probability=0.0, space_probability=0.0)


def page(*items: str | list[str], kind: str = "interleaved") -> dict[str, Any]:
    """Returns a sample: "a.jpg" is an image, a list of names a video, anything else a text."""
    images = [i if isinstance(i, str) and i.endswith(".jpg") else None for i in items]
    return {
        "id": "0a",
        "kind": kind,
        "texts": [i if isinstance(i, str) and not i.endswith(".jpg") else None for i in items],
        "images": images,
        "videos": [i if isinstance(i, list) else None for i in items],
    }


PETS = page(
    "Cute pics of my pets!",
    "000.jpg",
    "My puppy sitting in the grass.",
    "001.jpg",
    " My cat looking very dignified.",
)


def made(sample: dict[str, Any], choices: Examples = PLAIN, seed: int = 0) -> Example:
    return example(sample, choices, BYTES, random.Random(seed))


def chunks(one: Example) -> dict[int, str]:
    """Returns the text of each value of phi."""
    values = sorted(set(one.phi))
    return {
        p: BYTES.spell(i for i, q in zip(one.ids, one.phi, strict=True) if q == p) for p in values
    }


def test_pets_are_the_example_of_the_paper() -> None:
    pets = made(PETS)
    assert BYTES.spell(pets.ids) == (
        "<BOS>Cute pics of my pets!<EOC><image>My puppy sitting in the grass."
        "<EOC><image> My cat looking very dignified.<EOC><EOS>"
    )
    assert chunks(pets) == {
        0: "<BOS>Cute pics of my pets!<EOC>",
        1: "<image>My puppy sitting in the grass.<EOC>",
        2: "<image> My cat looking very dignified.<EOC><EOS>",
    }
    assert [tag.parts for tag in pets.tags] == [("000.jpg",), ("001.jpg",)]
    assert pets.loss == [False] + [True] * (len(pets.ids) - 1)  # nothing predicts the first token


def test_next_image_shifts_phi_and_leaves_the_text() -> None:
    last, ahead = made(PETS), made(PETS, Examples(next_probability=1.0))
    assert ahead.ids == last.ids
    assert ahead.phi == [p + 1 if p < 2 else 0 for p in last.phi]
    kept = made(PETS, Examples(next_probability=1.0, after_last="last"))
    assert kept.phi == [min(p + 1, 2) for p in last.phi]


def test_next_is_drawn_for_half_of_the_documents() -> None:
    drawn = [made(PETS, Examples(), seed).phi[0] for seed in range(400)]
    assert 160 < sum(drawn) < 240


def test_tag_end_switches_phi_at_the_last_token_of_the_tag() -> None:
    pets = made(PETS, Examples(next_probability=0.0, switch="tag_end"))
    assert chunks(pets)[1] == ">My puppy sitting in the grass.<EOC><image"


def test_seen_loss_covers_text_that_sees_an_image() -> None:
    pets = made(PETS, Examples(next_probability=0.0, loss="seen"))
    counted = BYTES.spell(i for i, counts in zip(pets.ids, pets.loss, strict=True) if counts)
    assert counted == "My puppy sitting in the grass.<EOC> My cat looking very dignified.<EOC><EOS>"


@pytest.mark.parametrize(
    "items",
    [
        ("One.", "001.jpg", "Two.", "000.jpg", "Three."),
        ("One.", "000.jpg", "Two.", "000.jpg"),
        ("One.", ["001.00000.jpg", "001.00001.jpg"], "Two.", "000.jpg"),
    ],
)
def test_parts_numbered_against_the_order_of_the_tags_are_no_example(
    items: tuple[str | list[str], ...],
) -> None:
    with pytest.raises(SampleError, match=r"parts 00\d") as error:
        made(page(*items))
    assert error.value.reason == "misordered_images"


def test_parts_without_numbers_are_in_the_order_of_the_tags() -> None:
    document = page("One.", "b.jpg", "Two.", "a.jpg", "Three.")
    assert made(document).images == ["0a.b.jpg", "0a.a.jpg"]


def test_images_are_told_by_the_hash_of_their_bytes() -> None:
    frames = ["002.00000.jpg", "002.00001.jpg"]
    document = page("A", "000.jpg", "B", "001.jpg", frames)
    document["info"] = [
        {"type": "text"},
        {"type": "image", "sha256": "aa"},
        None,
        {"type": "image"},
        {"frames": [{"name": name, "t": i, "sha256": f"f{i}"} for i, name in enumerate(frames)]},
    ]
    made_of = made(document)
    assert made_of.images == ["aa", "0a.001.jpg", "f0"]
    assert made_of.tags[2].digests == ("f0", "f1")


def test_clip_of_a_long_video_is_told_by_its_own_first_frame() -> None:
    names = [f"000.{t:05}.jpg" for t in range(40)]
    document = page(names, "It flew.", kind="video_text")
    document["info"] = [
        {"frames": [{"name": name, "sha256": f"of {name}"} for name in reversed(names)]},
        {},
    ]
    starts = {made(document, seed=seed).images[0] for seed in range(40)}
    assert len(starts) > 10
    assert starts <= {f"of {name}" for name in names[:33]}


def test_example_refuses_images_out_of_document_order() -> None:
    ids = [*TAG, *TAG]
    tags = (Tag(0, 7, 3, ("001.jpg",), ("",)), Tag(7, 14, 1, ("000.jpg",), ("",)))
    with pytest.raises(AssertionError, match="out of document order"):
        Example("0a", ids, [0] * 14, [False] * 14, tags, TAG)


def test_example_refuses_a_tag_where_there_is_none_and_a_first_token_that_counts() -> None:
    tag = Tag(1, 8, 0, ("000.jpg",), ("",))
    with pytest.raises(AssertionError):
        Example("0a", [*TAG, 9], [0] * 8, [False] * 8, (tag,), TAG)
    with pytest.raises(AssertionError, match="nothing comes before the first token"):
        Example("0a", [9, *TAG], [0] * 8, [True] * 8, (tag,), TAG)


def test_page_that_writes_about_the_tag_has_no_extra_image() -> None:
    document = page("Write <image> here.", "000.jpg", "A cat.")
    assert len(made(document).tags) == 1
    assert chunks(made(document))[0] == "<BOS>Write <image> here.<EOC>"


def test_document_that_opens_with_an_image_has_no_chunk_to_close() -> None:
    assert BYTES.spell(made(page("0.jpg", "A cat.")).ids) == "<BOS><image>A cat.<EOC><EOS>"


def test_texts_in_a_row_are_lines() -> None:
    assert (
        BYTES.spell(tokenise(page("A", "B", "0.jpg"), BYTES)[0])
        == "<BOS>A\nB<EOC><image><EOC><EOS>"
    )


def many(images: int) -> dict[str, Any]:
    return page(*(x for i in range(images) for x in (f"{i:03}.jpg", f"text {i}.")))


@pytest.mark.parametrize(
    ("discarded", "after"),
    [("none", {0: "<image>text 5.<EOC><image>text 6.<EOC><EOS>"}), ("cut", {}), ("last", {})],
)
def test_sixth_image_is_discarded(discarded: Any, after: dict[int, str]) -> None:
    one = made(many(7), Examples(next_probability=0.0, discarded=discarded))
    found = chunks(one)
    assert [tag.parts[0] for tag in one.tags] == [f"{i:03}.jpg" for i in range(5)]
    assert max(one.phi) == 5
    assert {0: found[0].removeprefix("<BOS>")} == after if after else 0 in found
    assert ("text 6." in BYTES.spell(one.ids)) == (discarded != "cut")
    assert ("text 6." in found[5]) == (discarded == "last")


def test_video_in_a_page_is_one_tag_with_a_clip() -> None:
    frames = [f"000.{t:05}.jpg" for t in range(20)]
    (tag,) = made(page("Look:", frames, "It flew.")).tags
    first = frames.index(tag.parts[0])
    assert tag.parts == tuple(frames[first : first + 8])


def test_short_video_keeps_all_its_frames() -> None:
    (tag,) = made(page(["00000.jpg", "00001.jpg"], "It flew.", kind="video_text")).tags
    assert tag.parts == ("00000.jpg", "00001.jpg")


def test_pair_sees_its_image_everywhere() -> None:
    pair = made(page("jpg.jpg", "A dog.", kind="image_text"))
    assert BYTES.spell(pair.ids) == "<BOS><image>A dog.<EOC><EOS>"
    assert set(pair.phi) == {1}
    assert pair.images == ["0a.jpg.jpg"]
    assert pair.loss == [False] + [True] * (len(pair.ids) - 1)


def test_pair_counts_its_words_alone_where_only_seen_text_does() -> None:
    pair = made(page("jpg.jpg", "A dog.", kind="image_text"), Examples(loss="seen"))
    counted = BYTES.spell(i for i, counts in zip(pair.ids, pair.loss, strict=True) if counts)
    assert counted.lstrip() == "A dog.<EOC><EOS>"


def test_pair_gets_a_leading_space_half_of_the_time() -> None:
    dog = page("0.jpg", "A dog.", kind="image_text")
    texts = [BYTES.spell(made(dog, Examples(), seed).ids) for seed in range(400)]
    assert 160 < texts.count("<BOS><image> A dog.<EOC><EOS>") < 240
    assert set(texts) == {"<BOS><image> A dog.<EOC><EOS>", "<BOS><image>A dog.<EOC><EOS>"}


def test_long_pair_is_cut_before_its_end_tokens() -> None:
    pair = made(page("0.jpg", "word " * 100, kind="image_text"), Examples(pair_length=32))
    assert len(pair.ids) == 32
    assert BYTES.spell(pair.ids).endswith("<EOC><EOS>")


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (page("No picture."), "no_image"),
        (page("0.jpg", kind="image_text"), "incomplete_pair"),
        (page("0.jpg", "1.jpg", "Two dogs.", kind="image_text"), "incomplete_pair"),
        ({"kind": "interleaved", "texts": ["a"], "images": []}, "malformed_sample"),
        ({"kind": "interleaved", "texts": [None], "images": [7]}, "malformed_sample"),
        ({"kind": "interleaved", "texts": [5], "images": [None]}, "malformed_sample"),
        ({}, "incomplete_pair"),
    ],
)
def test_sample_without_an_example_has_a_reason(sample: dict[str, Any], reason: str) -> None:
    with pytest.raises(SampleError) as error:
        made(sample)
    assert error.value.reason == reason


def test_draws_follow_seed_epoch_and_key_alone() -> None:
    assert draws(1, 2, "0a").random() == draws(1, 2, "0a").random()
    others = [draws(1, 2, "0b"), draws(1, 3, "0a"), draws(2, 2, "0a")]
    assert draws(1, 2, "0a").random() not in [other.random() for other in others]


def test_windows_start_everywhere_that_holds_a_whole_tag() -> None:
    ids, tags = tokenise(page("x" * 40, "0.jpg", "y" * 40), BYTES)
    rng, choices = random.Random(0), Examples(length=20)
    texts = {BYTES.spell(window(ids, tags, choices, rng)[0]) for _ in range(600)}
    assert len(texts) == 20 - len(TAG) + 1
    assert all("<image>" in text for text in texts)
    anywhere = Examples(length=20, window="any")
    starts = {BYTES.spell(window(ids, tags, anywhere, rng)[0]) for _ in range(600)}
    assert any("<image>" not in text for text in starts)


ITEMS = st.lists(
    st.one_of(st.text(max_size=60).filter(lambda s: not s.endswith(".jpg")), st.just("0.jpg")),
    min_size=1,
    max_size=12,
)
SETTINGS = st.builds(
    Examples,
    length=st.integers(16, 120),
    images=st.integers(1, 5),
    next_probability=st.sampled_from([0.0, 1.0]),
    after_last=st.sampled_from(["none", "last"]),
    discarded=st.sampled_from(["none", "cut", "last"]),
    loss=st.sampled_from(["all", "seen"]),
    window=st.sampled_from(["image", "any"]),
    switch=st.sampled_from(["tag_start", "tag_end"]),
)


@given(items=ITEMS, choices=SETTINGS, seed=st.integers(0, 99))
def test_every_window_is_a_run_of_its_document(
    items: list[str], choices: Examples, seed: int
) -> None:
    named = [f"{i:03}.jpg" if item == "0.jpg" else item for i, item in enumerate(items)]
    document = page(*[*named, "999.jpg"])
    whole, tags = tokenise(document, BYTES)
    one = made(document, choices, seed)
    assert len(one.ids) <= choices.length
    assert any(whole[i : i + len(one.ids)] == one.ids for i in range(len(whole)))
    assert len(one.tags) <= choices.images
    assert one.tags or choices.window == "any"
    in_order = [tag.parts for tag in tags]
    first = in_order.index(one.tags[0].parts) if one.tags else 0
    assert [tag.parts for tag in one.tags] == in_order[first : first + len(one.tags)]


@given(items=ITEMS, choices=SETTINGS)
def test_phi_only_grows_while_images_are_kept(items: list[str], choices: Examples) -> None:
    ids, tags = tokenise(page(*items), BYTES)
    phi = look(len(ids), tags, choices, ahead=False)
    kept = phi[: tags[choices.images].start] if len(tags) > choices.images else phi
    assert kept == sorted(kept)
    assert phi[0] == 0
    assert max(phi) == min(len(tags), choices.images)


@given(items=ITEMS, choices=SETTINGS, seed=st.integers(0, 99))
def test_phi_points_at_kept_images_that_lie_where_they_should(
    items: list[str], choices: Examples, seed: int
) -> None:
    """phi is the last image at or before a token, or the one after it; the choice is one per page."""
    named = [f"{i:03}.jpg" if item == "0.jpg" else item for i, item in enumerate(items)]
    one = made(page(*named, "999.jpg"), choices, seed)
    ahead = choices.next_probability == 1.0
    switches = [t.start if choices.switch == "tag_start" else t.end - 1 for t in one.tags]
    for position, image in enumerate(one.phi):
        assert 0 <= image <= len(one.tags)
        if image and choices.discarded == "none" and choices.after_last == "none":
            assert (position < switches[image - 1]) == ahead
            if ahead and image > 1:
                assert switches[image - 2] <= position
            if not ahead and image < len(switches):
                assert position < switches[image]
    counted = [position for position, counts in enumerate(one.loss) if counts]
    assert 0 not in counted
    if choices.loss == "seen":
        assert all(one.phi[position] for position in counted)


@given(items=ITEMS, seed=st.integers(0, 9))
def test_text_and_tags_do_not_depend_on_the_image_that_phi_is_drawn_for(
    items: list[str], seed: int
) -> None:
    named = [f"{i:03}.jpg" if item == "0.jpg" else item for i, item in enumerate(items)]
    last = made(page(*named, "999.jpg"), Examples(next_probability=0.0), seed)
    ahead = made(page(*named, "999.jpg"), Examples(next_probability=1.0), seed)
    assert (last.ids, last.tags, last.loss) == (ahead.ids, ahead.tags, ahead.loss)


def test_text_that_spells_special_tokens_is_text() -> None:
    told = "Close with <EOC>, open with <BOS>, end with <EOS>."
    one = made(page(told, "000.jpg", told))
    assert [one.ids.count(special) for special in (BYTES.bos, BYTES.eoc, BYTES.eos)] == [1, 2, 1]
    assert BYTES.spell(one.ids) == f"<BOS>{told}<EOC><image>{told}<EOC><EOS>"


def test_texts_alone_are_lines() -> None:
    assert text(page("A", "0.jpg", "B")) == "A\nB"


def test_nodes_come_in_document_order() -> None:
    assert list(nodes(page("A", "0.jpg", ["0.00000.jpg"]))) == [
        Node(0, "A"),
        Node(1, "", ("0.jpg",), ("",)),
        Node(2, "", ("0.00000.jpg",), ("",)),
    ]


def test_texts_that_capfilt_kept_are_alternatives_one_of_which_is_drawn() -> None:
    sample = page(["a.jpg"], "A robin", "a bird on a twig", kind="image_text")
    sample["info"] = [
        {"type": "image", "origin": "archive"},
        {"type": "text", "origin": "web"},
        {"type": "text", "origin": "synthetic"},
    ]
    texts = {
        BYTES.spell(made(sample, seed=seed).ids).replace("<image> ", "<image>")
        for seed in range(40)
    }
    assert texts == {
        "<BOS><image>A robin<EOC><EOS>",
        "<BOS><image>a bird on a twig<EOC><EOS>",
    }


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats()
NAMES = st.sampled_from(["name", "sha256", "frames", "type", "origin"])
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner), max_leaves=8
)
COLUMN = st.lists(JSON, min_size=3, max_size=3)


@given(
    sample=st.fixed_dictionaries(
        {"kind": JSON | st.sampled_from(["interleaved", "image_text"])},
        optional={
            "id": JSON,
            "texts": COLUMN | JSON,
            "images": COLUMN | st.just(["000.jpg", None, "001.jpg"]) | JSON,
            "videos": COLUMN | st.just([None, ["002.00000.jpg"], None]) | JSON,
            "info": COLUMN | JSON,
        },
    )
)
def test_any_json_is_an_example_or_has_a_reason(sample: dict[str, Any]) -> None:
    with suppress(SampleError):  # nothing else may be raised
        assert len(made(sample).ids) >= 4  # <BOS>, a text or a tag, <EOC>, <EOS>


def test_frames_that_info_does_not_name_are_told_by_their_parts() -> None:
    document = page(["0.00000.jpg"])
    document["info"] = [{"frames": [{"name": ["0.00000.jpg"], "sha256": "aa"}, None, {}]}]
    assert made(document).images == ["0a.0.00000.jpg"]


def test_number_of_a_part_may_be_of_any_length() -> None:
    assert made(page("A", f"{'9' * 5000}.jpg", "B", "000.jpg")).images[1] == "0a.000.jpg"
