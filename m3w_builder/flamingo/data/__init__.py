"""From finished shards to batches: tokens, examples, pictures, the order of an epoch, the reader."""
