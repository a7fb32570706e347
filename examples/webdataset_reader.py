"""Read the shards of `m3w build` with stock webdataset: copy `pages` into a trainer of your own.

python examples/webdataset_reader.py 'out/shards/interleaved-{000000..000003}.tar'
"""

import sys

import webdataset as wds


def page(sample):
    """Returns a sample as its key and its nodes in document order: str, PIL.Image, or a list of frames."""
    record = sample["json"]  # parallel lists: of each node exactly one is not null
    columns = zip(record["texts"], record["images"], record["videos"], strict=True)
    return sample["__key__"], [
        text if text is not None else sample[image] if image else [sample[name] for name in frames]
        for text, image, frames in columns
    ]


def pages(urls, shards=100, samples=1000):
    """Returns the pages of all shards, shuffled; goes into torch.utils.data.DataLoader(..., batch_size=None)."""
    source = wds.WebDataset(urls, shardshuffle=shards, nodesplitter=wds.split_by_node)
    return source.shuffle(samples).decode("pilrgb").map(page)


if __name__ == "__main__":
    for key, nodes in pages(sys.argv[1]):
        print(key, *("<image>" if not isinstance(node, str) else node[:60] for node in nodes))
