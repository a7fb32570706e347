"""VQAv2, OK-VQA, TextVQA, VizWiz and MSVD-QA: a question about a picture or a clip, and people's answers."""

from pathlib import Path

from m3w_builder.errors import InputError
from m3w_builder.flamingo.evaluation.cases import Case, Cases, Media
from m3w_builder.flamingo.evaluation.tasks.files import Layout, read_lines, rows, texts, video


def vqav2(root: Path, split: str) -> Cases:
    """Returns VQAv2 on COCO's pictures."""
    return _vqa(Layout(root, "VQAv2"), split, "v2_OpenEnded_mscoco", "v2_mscoco")


def okvqa(root: Path, split: str) -> Cases:
    """Returns OK-VQA on COCO's pictures."""
    return _vqa(Layout(root, "OK-VQA"), split, "OpenEnded_mscoco", "mscoco")


def textvqa(root: Path, split: str) -> Cases:
    """Returns TextVQA; its validation pictures lie with those of training."""
    layout = Layout(root, "TextVQA")
    folder = layout.need("train_images")

    def cases(name: str) -> list[Case]:
        file = layout.need(f"TextVQA_0.5.1_{name}.json")
        return [
            Case(
                str(row["question_id"]),
                Media(folder / f"{row['image_id']}.jpg"),
                texts(file, row, "answers"),
                row["question"],
            )
            for row in rows(file, "data", question_id=int, image_id=str, question=str, answers=list)
        ]

    return Cases(cases(split), cases("train") if split != "train" else ())


def vizwiz(root: Path, split: str) -> Cases:
    """Returns VizWiz VQA: pictures taken and questions asked by blind people."""
    layout = Layout(root, "VizWiz")

    def cases(name: str) -> list[Case]:
        file = layout.need(f"Annotations/{name}.json", f"{name}.json")
        folder = layout.need(f"images/{name}", name)
        return [
            Case(
                row["image"],
                Media(folder / row["image"]),
                texts(file, row, "answers", "answer"),
                row["question"],
            )
            for row in rows(file, image=str, question=str, answers=list)
        ]

    return Cases(cases(split), cases("train") if split != "train" else ())


def msvd_qa(root: Path, split: str) -> Cases:
    """Returns MSVD-QA: vid1.avi ... in video/, or YouTubeClips/ and youtube_mapping.txt."""
    layout = Layout(root, "MSVD-QA")
    folder = layout.need("video", "YouTubeClips")
    names = _clips(layout) if folder.name == "YouTubeClips" else {}

    def cases(name: str) -> list[Case]:
        file = layout.need(f"{name}_qa.json")
        return [
            Case(
                str(row["id"]),
                Media(video(folder, _clip(file, names, f"vid{row['video_id']}")), "video"),
                texts(file, row, "answer"),
                row["question"],
            )
            for row in rows(file, id=int, video_id=int, question=str, answer=str)
        ]

    return Cases(cases(split), cases("train") if split != "train" else ())


def _clip(file: Path, names: dict[str, str], number: str) -> str:
    if names and number not in names:
        raise InputError(f"{file}: expected {number} in youtube_mapping.txt, found none")
    return names.get(number, number)


def _clips(layout: Layout) -> dict[str, str]:
    """Returns the clip of each number: lines of "-4wsuPCjDBc_5_15 vid1"."""
    file = layout.need("youtube_mapping.txt")
    pairs = [line.split() for line in read_lines(file)]
    if any(len(pair) != 2 for pair in pairs):
        raise InputError(f"{file}: expected lines of a clip and its number, found others")
    return {number: clip for clip, number in pairs}


def _vqa(layout: Layout, split: str, questions: str, annotations: str) -> Cases:
    def cases(year: str) -> list[Case]:
        asked = layout.need(f"{questions}_{year}_questions.json")
        folder = layout.need(year)
        said = _answers(layout.need(f"{annotations}_{year}_annotations.json"))
        return [
            Case(
                str(row["question_id"]),
                Media(folder / f"COCO_{year}_{row['image_id']:012d}.jpg"),
                said[row["question_id"]],
                row["question"],
            )
            for row in rows(asked, "questions", question_id=int, image_id=int, question=str)
            if row["question_id"] in said
        ]

    year = {"val": "val2014", "train": "train2014"}.get(split, split)
    return Cases(cases(year), cases("train2014") if year != "train2014" else ())


def _answers(file: Path) -> dict[int, tuple[str, ...]]:
    found = rows(file, "annotations", question_id=int, answers=list)
    return {row["question_id"]: texts(file, row, "answers", "answer") for row in found}
