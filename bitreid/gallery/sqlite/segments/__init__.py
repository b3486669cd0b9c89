"""Segments on disk: the arrays that a SQLite gallery is searched from, as files that all processes share.

**What they are.** `people.gallery.d/` beside `people.gallery` holds segments (`table.segment`): immutable files of the
columns that are searched, each for a run of sequence numbers. A process maps them, one after the other, in front of
what it has in memory of later items (`table.stitched`), so that a search is still one call of the kernel over one
array. Opening reads headers only; the memory is the system's file cache, the same for all processes.

**Which of them count.** The SQLite file is the only record. It lists the segments in its table `meta`: name and header
checksum of each, and up to which of `changes` they are what the record holds. So a list changes as a whole with a
commit; a file that is not listed is nothing, and what lies in the folder of another or an earlier gallery is not
trusted. Later `changes`, deletions among them, are read by each process at its next search and marked in its memory, as
before. Items that no listed and sound segment covers are read from the record into memory. So a missing or damaged
segment costs time and memory, and never an answer.

**Who writes them.** Whoever writes to the gallery: when many items came since the last segment, in a thread beside the
writes; on `close`; and `compact`, which rewrites each segment of which anything was deleted or changed. One process at
a time, by a lock in the folder. Files are written and synced, then listed in a transaction that checks that nobody else
listed or compacted meanwhile, then those that are not listed are removed. A process that is killed between leaves a
file that nobody lists, and the next one removes it. `FANOUT` neighbours of about one size become one.

**Forgetting.** What was deleted stays in its segment until that is rewritten: by `compact` at the latest, and before,
where much of it was deleted. Then the file is removed.

**Checks.** A header is checked before any of a file is mapped: sizes, types and places of its arrays. Hits, their codes
and all that they show, are compared with the record each time. A thread compares whole segments with their checksums,
slowly. Scans and deletions by a filter do so before, once, because what is deleted cannot be made anew; and so does
`info`, which compares them with the record, too. Before each look the size of each file is asked for: who reads a
mapped file past its end is ended by the system. What is found wrong is left out, with a warning, and written anew.
"""
