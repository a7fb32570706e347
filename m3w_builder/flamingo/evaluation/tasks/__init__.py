"""The benchmarks: how each is asked and scored, and the loader of its published layout (F2 Table 6)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from m3w_builder.errors import InputError
from m3w_builder.flamingo.evaluation.cases import Cases, Form, Metric, Task
from m3w_builder.flamingo.evaluation.tasks import captions, folders, labels, questions

PER_CLASS = 32  # support of a classification (F2 B.1.4)

# Sizes are those of the paper's development sets (F2 B.1.4): 5,000 of COCO, 1,024 of the question sets
# and VATEX, 10 per class of ImageNet; 2,048 to draw shots from, 32 per class of ImageNet.
_TASKS = (
    Task("coco", "caption", "cider", captions.coco, "test", queries=5000),
    Task("flickr30k", "caption", "cider", captions.flickr30k, "test"),
    Task("vatex", "caption", "cider", captions.vatex, "test", queries=1024),
    Task("vqav2", "question", "vqa_accuracy", questions.vqav2, "val", queries=1024),
    Task("okvqa", "question", "vqa_accuracy", questions.okvqa, "val", queries=1024),
    Task("textvqa", "question", "vqa_accuracy", questions.textvqa, "val", queries=1024),
    Task("vizwiz", "question", "vqa_accuracy", questions.vizwiz, "val", queries=1024),
    Task("msvd_qa", "question", "top1", questions.msvd_qa, "test", queries=1024),
    Task("hateful_memes", "meme", "roc_auc", labels.hateful_memes, "test_seen"),
    Task("imagenet", "class", "top1", labels.imagenet, "val", queries=10, support=PER_CLASS),
    Task("folder", "caption", "cider", folders.folder, ""),  # or what `named` finds it to be
    Task("shards", "caption", "cider", folders.shards, ""),
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
    support = PER_CLASS if form == "class" else task.support
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
    for cases in (found.query, found.support):
        ((name, count),) = Counter(case.id for case in cases).most_common(1) or [("", 0)]
        if count > 1:
            raise InputError(
                f"{data}: expected each case of {task.name} once, found {name} {count} times"
            )
    return found
