"""The reference Flamingo trainer (Alayrac et al. 2022, arXiv 2204.14198): shards in, model out.

Reads shards only, never pages or pipelines. `tokens`, `examples` and `images` work without torch;
`data`, `model`, `lm`, `vision`, `train`, `generate` and `entry` need the extra `train`. The paper's
sections are cited as F2 (v2) and F1 (v1, which says more about the data).
"""
