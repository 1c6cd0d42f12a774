# For the Makefile of an extension in C++ that stands on the kit of usher (docs/write-an-extension.md):
#
#   EXTENSION  = notes
#   MODULE_big = notes
#   OBJS       = notes.o
#   DATA       = notes--1.0.sql
#   PG_CONFIG ?= pg_config
#   include $(shell $(PG_CONFIG) --sharedir)/usher/usher.mk
#
# Headers are found as "kit/…", "common/…" and "pg/…"; what they need is linked in, and nothing of it is visible outside.

PG_CONFIG ?= pg_config
# Where usher is installed, when it is below another root (DESTDIR).
usher_root := $(patsubst %$(shell $(PG_CONFIG) --sharedir)/usher/usher.mk,%,$(abspath $(lastword $(MAKEFILE_LIST))))

PG_CPPFLAGS += -I'$(usher_root)$(shell $(PG_CONFIG) --includedir-server)/extension/usher' -isystem '$(shell $(PG_CONFIG) --includedir-server)'
PG_CXXFLAGS += -std=c++20 -Wall -Wextra -fvisibility=hidden -fvisibility-inlines-hidden
SHLIB_LINK  += '$(usher_root)$(shell $(PG_CONFIG) --pkglibdir)/libusher_kit.a' -lstdc++ -lcrypto
# The server's bitcode rule would compile C++20 with clang and without these flags.
override with_llvm := no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
