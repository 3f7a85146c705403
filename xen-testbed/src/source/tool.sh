#!/bin/sh
# Starts the unpacked program of the same name. It gets the C library that was unpacked with it, as this machine's may be older,
# and finds its own files although they are not where Debian puts them.
bin=${0%/*}
root=${bin%/*}/root
export BISON_PKGDATADIR="$root/usr/share/bison" M4="$bin/m4" PYTHONHOME="$root/usr"
exec "$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --argv0 "$0" \
    --library-path "$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/${0##*/}" "$@"
