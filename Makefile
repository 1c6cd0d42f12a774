# Plain PGXS: make, make install, make installcheck. PG_CONFIG picks the server.
USHER_VERSION = 0.1.0
EXTENSIONS = $(notdir $(patsubst %/,%,$(dir $(wildcard $(srcdir_)/sql/*/*.control))))
srcdir_ := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))

PG_CONFIG ?= pg_config
MODULE_big = usher
SOURCES := $(sort $(shell cd '$(srcdir_)' && find extension -name '*.cpp'))
OBJS = $(SOURCES:.cpp=.o)
EXTENSION = $(foreach e,$(EXTENSIONS),sql/$e/$e)
DATA_built = $(foreach e,$(EXTENSIONS),build/sql/$e--$(USHER_VERSION).sql)

PG_CPPFLAGS = -isystem $(shell $(PG_CONFIG) --includedir-server) -I$(srcdir_)/extension -DUSHER_VERSION='"$(USHER_VERSION)"'
PG_CXXFLAGS = -std=c++20 -fvisibility=hidden -fvisibility-inlines-hidden -Wall -Wextra -Wshadow -MMD -MP
SHLIB_LINK = -lstdc++ -lcrypto -largon2
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(shell mkdir -p $(sort $(dir $(OBJS))) build/sql)
-include $(OBJS:.o=.d)

define extension_script
build/sql/$1--$(USHER_VERSION).sql: $(sort $(wildcard $(srcdir_)/sql/$1/[0-9]*.sql))
	cat $$^ | sed 's/^CREATE OR REPLACE /CREATE /' > $$@
endef
$(foreach e,$(EXTENSIONS),$(eval $(call extension_script,$e)))
