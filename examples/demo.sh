#!/usr/bin/env bash
# The demonstration that `make demo` runs: a crawl in, shards out, a look at them, a model trained on them.
# Usage: examples/demo.sh [OUT] [TRAIN]   (m3w on the PATH; TRAIN=0 leaves the trainer out)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${1:-demo-out} train=${2:-1}

step() {
  printf '\n$ %s\n' "$*"
  "$@"
}

step m3w build --input examples/crawl.warc.gz --output "$out" --config examples/config.toml
step m3w ls "$out"
step m3w show "$out/interleaved-000001.tar" --index 0
step m3w whatif "$out" --set rules.min_words=30
step m3w report "$out"
[ "$train" != 0 ] || exit 0

step m3w train "$out" --output "$out/model" --restart # of a demonstration before this one

# A picture to describe: the first one of the image-text pairs.
shard=$out/image_text-000000.tar
picture=$(tar -tf "$shard" | awk '/\.(jpg|png|webp)$/ && !found++')
tar -xOf "$shard" "$picture" >"$out/picture.${picture##*.}"
step m3w caption "$out/model" "$out/picture.${picture##*.}"
