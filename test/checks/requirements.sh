#!/bin/sh
# docs/requirements.md: every row of the five sources has a line. That what it names has passed is looked at when all tests have run.
set -eu
exec perl "$SRC/tools/requirements.pl"
