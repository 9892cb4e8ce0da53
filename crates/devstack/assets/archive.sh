#!/bin/sh
# Keeps one file of the write-ahead log: archive.sh <file> <archive>. PostgreSQL repeats it until it
# succeeds.
set -eu
kept="$2/$(basename "$1")"
if [ -e "$kept" ]; then
    # It was kept before a crash. Another file of this name is never written over.
    exec cmp "$1" "$kept"
fi
# A segment that was switched early ends in zeros.
cp --sparse=always "$1" "$kept.new"
sync "$kept.new"
mv "$kept.new" "$kept"
sync "$2"
