"""The work of `fastconv predict`: a task on many pictures, in parts, whose answers are Parquet files.

- `pictures`: which pictures: folders, patterns, lists, shards.
- `work`: what a worker does: the answers to a part's pictures, as a table.
- `local`: a pool of processes. `fastconv.ray` has the same for a cluster.
- `parts`: the folder of answers, in which each part is whole or absent.
"""
