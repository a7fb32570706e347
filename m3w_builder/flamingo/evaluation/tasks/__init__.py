"""The benchmarks: how each is asked and scored, and the loader of its published layout (F2 Table 6)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from m3w_builder.errors import InputError
from m3w_builder.flamingo.evaluation.cases import Cases, Form, Metric, Task
from m3w_builder.flamingo.evaluation.tasks import captions, folders, labels, questions

# Sizes are those of the paper's development sets (F2 B.1.4): 5,000 of COCO, 1,024 of the question sets
# and VATEX, 10 per class of ImageNet; 2,048 to draw shots from, 32 per class of ImageNet.
_TASKS = (
    Task(
        "coco",
        "caption",
        "cider",
        captions.coco,
        "test",
        "dataset_coco.json | captions_val2014.json, val2014/",
        5000,
    ),
    Task(
        "flickr30k",
        "caption",
        "cider",
        captions.flickr30k,
        "test",
        "dataset_flickr30k.json, flickr30k-images/",
    ),
    Task(
        "vatex",
        "caption",
        "cider",
        captions.vatex,
        "test",
        "vatex_public_test_english_v1.1.json, videos/ID.mp4",
        1024,
    ),
    Task(
        "vqav2",
        "question",
        "vqa_accuracy",
        questions.vqav2,
        "val",
        "v2_OpenEnded_mscoco_val2014_questions.json, v2_mscoco_val2014_annotations.json, val2014/",
        1024,
    ),
    Task(
        "okvqa",
        "question",
        "vqa_accuracy",
        questions.okvqa,
        "val",
        "OpenEnded_mscoco_val2014_questions.json, mscoco_val2014_annotations.json, val2014/",
        1024,
    ),
    Task(
        "textvqa",
        "question",
        "vqa_accuracy",
        questions.textvqa,
        "val",
        "TextVQA_0.5.1_val.json, train_images/",
        1024,
    ),
    Task(
        "vizwiz",
        "question",
        "vqa_accuracy",
        questions.vizwiz,
        "val",
        "Annotations/val.json, val/",
        1024,
    ),
    Task(
        "msvd_qa",
        "question",
        "top1",
        questions.msvd_qa,
        "test",
        "test_qa.json, video/vid1.avi",
        1024,
    ),
    Task(
        "hateful_memes",
        "meme",
        "roc_auc",
        labels.hateful_memes,
        "test_seen",
        "test_seen.jsonl, img/",
    ),
    Task(
        "imagenet",
        "class",
        "top1",
        labels.imagenet,
        "val",
        "LOC_synset_mapping.txt, val/WNID/, train/WNID/",
        10,
        32,
    ),
    Task(
        "folder",
        "caption",
        "cider",
        folders.folder,
        "",
        "captions.jsonl | questions.jsonl | a sub-folder per class",
    ),
    Task("shards", "caption", "cider", folders.shards, "", "manifest.jsonl, image_text-000000.tar"),
)
TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in _TASKS})
_METRICS: Mapping[Form, Metric] = {"caption": "cider", "question": "vqa_accuracy", "class": "top1"}


def named(name: str, data: Path, split: str = "") -> Task:
    """Returns a benchmark; what any folder asks for is seen from it. Raises InputError."""
    if name not in TASKS:
        raise InputError(f"--task: expected one of {', '.join(TASKS)}, found {name!r}")
    task = TASKS[name]
    if name != "folder":
        return task
    form = folders.form_of(data / split)
    support = 32 if form == "class" else task.support
    return replace(task, form=form, metric=_METRICS[form], support=support)


def load(task: Task, data: Path, split: str = "") -> Cases:
    """Returns the cases of a copy; raises InputError where something of its layout is missing."""
    found = task.load(data, split or task.split)
    if not found.query:
        raise InputError(f"{data}: expected cases of {task.name}, found none")
    for case in (*found.query[:1], *found.support[:1]):
        if not case.media.path.exists():
            raise InputError(
                f"{case.media.path}: expected a file of the layout of {task.name}, found none"
            )
    return found
