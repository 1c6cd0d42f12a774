#!/bin/sh
# The sources below extension/ that include nothing of the server, themselves or through other headers: pure C++. They are what
# the unit tests and the fuzzers are built from, without the server's headers.
# usage: pure_sources.sh FOLDER   (prints paths below FOLDER)
cd "$1" && find . -name '*.[ch]pp' -type f | LC_ALL=C sort | sed 's|^\./||' | xargs awk '
    FNR == 1 { if (FILENAME ~ /^pg\//) tainted[FILENAME] = 1 }
    /^#include "/ { split($0, part, "\""); included_by[part[2]] = included_by[part[2]] " " FILENAME }
    END {
        for (file in tainted) queue[++waiting] = file
        while (done < waiting) {
            count = split(included_by[queue[++done]], users, " ")
            for (i = 1; i <= count; i++)
                if (!(users[i] in tainted)) { tainted[users[i]] = 1; queue[++waiting] = users[i] }
        }
        for (i = 1; i < ARGC; i++) if (ARGV[i] ~ /\.cpp$/ && !(ARGV[i] in tainted)) print ARGV[i]
    }'
