# usher: plain PGXS. `make && make install && make installcheck`; PG_CONFIG= and DESTDIR= are honoured.
#
# What is built goes into build/ (usher.so, which PGXS wants there, into the current folder). In a folder of its own,
# `make -f /path/to/usher/Makefile VPATH=/path/to/usher`, it goes into that folder.
#
#   make, make install, make installcheck    the extensions (no clang needed)
#   make unit                                the pure core under GoogleTest with ASan and UBSan
#   make boundary                            test functions for extension/pg, a library of their own
#   make fuzz                                the core's parsers under libFuzzer (clang), FUZZ_SECONDS each
#   make gateway                             the HTTP gateway
#   make lint                                clang-format and clang-tidy
#
# ./dev does all of this, and the servers needed for it, in one command.

here  := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
BUILD := $(if $(filter .,$(here)),build,.)

# The one place of the version number is META.json: its first "version". Control files and scripts get it from here.
USHER_VERSION := $(shell sed -n '/^  "version":/{s/.*: "\(.*\)".*/\1/p;q}' '$(here)/META.json')

# One folder under sql/ is one extension; all of them live in one shared library.
EXTENSIONS := $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard $(here)/sql/*/*.control)))))
SOURCES    := $(patsubst $(here)/extension/%,%,$(wildcard $(here)/extension/*.cpp $(here)/extension/*/*.cpp))

# --- the extensions --------------------------------------------------------------------------------------------------

MODULE_big = usher
OBJS       = $(SOURCES:%.cpp=$(BUILD)/obj/%.o)
MODULEDIR  = extension
DATA       = $(patsubst $(here)/%,%,$(wildcard $(here)/sql/*/updates/*.sql))
DATA_built = $(foreach e,$(EXTENSIONS),$(BUILD)/sql/$e.control $(BUILD)/sql/$e--$(USHER_VERSION).sql)
EXTRA_CLEAN = $(BUILD)/obj $(BUILD)/sql $(BUILD)/unit $(BUILD)/fuzz $(BUILD)/boundary $(BUILD)/gateway $(BUILD)/regress

PG_CONFIG  ?= pg_config
LIBRARIES   = -lcrypto -largon2 -lcrypt
CXX_COMMON  = -std=c++20 -MMD -MP -DUSHER_VERSION='"$(USHER_VERSION)"' -I'$(here)/extension'

# -isystem: the server's headers are not ours to warn about, and libpq's are not wanted here.
PG_CPPFLAGS = -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CXXFLAGS = $(CXX_COMMON) -Wall -Wextra -Wshadow -fvisibility=hidden -fvisibility-inlines-hidden $(WERROR)
# PGXS links with the C compiler.
SHLIB_LINK  = -lstdc++ $(LIBRARIES) -Wl,--version-script='$(here)/extension/exports.map'
# The bitcode rule would compile C++20 with clang and without our flags; it brings us nothing.
override with_llvm := no

REGRESS        = $(shell sed -n 's/^test: *//p' '$(here)/test/schedule' 2>/dev/null)
REGRESS_OPTS   = --inputdir=$(BUILD)/regress --outputdir=$(BUILD)/regress
REGRESS_PREP   = regress-folder
# isolation_setup makes the extensions that all others use
ISOLATION      = isolation_setup $(filter-out isolation_setup,$(notdir $(basename $(sort $(wildcard $(here)/test/specs/*.spec)))))
ISOLATION_OPTS = $(REGRESS_OPTS)

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
# All rules below name the source folder themselves. Without this, make would take the objects of an in-tree build
# for those of a build elsewhere.
override VPATH :=

# The compiler's command lines are long: V=1 shows them.
Q    := $(if $(V),,@)
show  = @$(if $(V),:,echo '  $1')

$(shlib): $(here)/extension/exports.map

$(BUILD)/obj/init.o: $(here)/META.json # has the version in it
$(BUILD)/obj/%.o: $(here)/extension/%.cpp
	@mkdir -p '$(@D)'
	$(call show,CXX $*.cpp)
	$(Q)$(COMPILE.cc) -o $@ '$<'

# In the installed script CREATE OR REPLACE becomes CREATE: nobody can plant an object for us to take over.
# The folder itself is a prerequisite, so that a new or removed part is noticed.
define script_rules
$(BUILD)/sql/$1.control: $(here)/sql/$1/$1.control $(here)/META.json
	@mkdir -p $(BUILD)/sql
	sed 's/@USHER_VERSION@/$(USHER_VERSION)/' '$$<' > $$@
$(BUILD)/sql/$1--$(USHER_VERSION).sql: $(sort $(wildcard $(here)/sql/$1/*.sql)) $(here)/sql/$1 $(here)/META.json
	@mkdir -p $(BUILD)/sql
	cat $(sort $(wildcard $(here)/sql/$1/*.sql)) | sed 's/^CREATE OR REPLACE /CREATE /' > $$@
endef
$(foreach e,$(EXTENSIONS),$(eval $(call script_rules,$e)))

# pg_regress wants sql/, specs/ and expected/ side by side.
.PHONY: regress-folder
regress-folder:
	@mkdir -p $(BUILD)/regress
	@ln -sfn "$$(cd '$(here)' && pwd)/test/regress"  $(BUILD)/regress/sql
	@ln -sfn "$$(cd '$(here)' && pwd)/test/specs"    $(BUILD)/regress/specs
	@ln -sfn "$$(cd '$(here)' && pwd)/test/expected" $(BUILD)/regress/expected

# --- the core on its own: unit tests and fuzzing ---------------------------------------------------------------------
# No server header is on the include path here, so one in extension/core/ does not compile.

CORE       := $(filter core/%,$(SOURCES))
UNIT_TESTS := $(notdir $(basename $(wildcard $(here)/test/unit/*.cpp)))
FUZZERS    := $(notdir $(basename $(wildcard $(here)/test/fuzz/*_fuzzer.cpp)))
SANITIZE    = -fsanitize=address,undefined -fno-sanitize-recover=all
# With sanitizers g++ 12 takes parts of its own <regex> for uninitialized.
UNIT_FLAGS  = $(CXX_COMMON) -O1 -g -Wall -Wextra -Wshadow -Wno-maybe-uninitialized $(SANITIZE) $(WERROR)
UNIT_OBJS   = $(CORE:%.cpp=$(BUILD)/unit/%.o) $(UNIT_TESTS:%=$(BUILD)/unit/test/%.o)

.PHONY: unit unit-build fuzz fuzz-build
unit: unit-build
	USHER_SOURCE='$(here)' $(BUILD)/unit/usher_unit_test $(UNIT_OPTS)
unit-build: $(BUILD)/unit/usher_unit_test

$(BUILD)/unit/usher_unit_test: $(UNIT_OBJS)
	$(Q)g++ $(SANITIZE) -o $@ $^ -lgtest_main -lgtest -lpthread $(LIBRARIES)
$(BUILD)/unit/core/%.o: $(here)/extension/core/%.cpp
	@mkdir -p '$(@D)'
	$(call show,CXX $(@:$(BUILD)/%.o=%))
	$(Q)g++ $(UNIT_FLAGS) -c -o $@ '$<'
$(BUILD)/unit/test/%.o: $(here)/test/unit/%.cpp
	@mkdir -p '$(@D)'
	$(call show,CXX $(@:$(BUILD)/%.o=%))
	$(Q)g++ $(UNIT_FLAGS) -c -o $@ '$<'

FUZZ_CXX     ?= clang++
FUZZ_SECONDS ?= 20
fuzz-build: $(FUZZERS:%=$(BUILD)/fuzz/%)
fuzz: fuzz-build
	@set -e; for f in $(FUZZERS); do \
	    echo "=== $$f"; mkdir -p $(BUILD)/fuzz/corpus/$$f; \
	    $(BUILD)/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=5 -print_final_stats=1 \
	        -artifact_prefix=$(BUILD)/fuzz/$$f- $(BUILD)/fuzz/corpus/$$f $$(ls -d '$(here)'/test/fuzz/corpus/$$f 2>/dev/null); \
	done
$(BUILD)/fuzz/core/%.o: $(here)/extension/core/%.cpp
	@mkdir -p '$(@D)'
	$(call show,CLANG $(@:$(BUILD)/%=%))
	$(Q)$(FUZZ_CXX) $(CXX_COMMON) -O1 -g $(SANITIZE) -fsanitize=fuzzer-no-link -c -o $@ '$<'
$(BUILD)/fuzz/%: $(here)/test/fuzz/%.cpp $(CORE:%.cpp=$(BUILD)/fuzz/%.o)
	$(call show,CLANG $(@:$(BUILD)/%=%))
	$(Q)$(FUZZ_CXX) $(filter-out -MMD -MP,$(CXX_COMMON)) -O1 -g $(SANITIZE) -fsanitize=fuzzer -o $@ '$<' $(filter %.o,$^) $(LIBRARIES)

-include $(OBJS:.o=.d) $(UNIT_OBJS:.o=.d) $(CORE:%.cpp=$(BUILD)/fuzz/%.d)

# --- test functions for the C++ boundary: a library of their own with their own copy of extension/pg ------------------

BOUNDARY_OBJS = $(BUILD)/boundary/boundary.o $(filter $(BUILD)/obj/pg/% $(BUILD)/obj/core/%,$(OBJS))
.PHONY: boundary
boundary: $(BUILD)/boundary/boundary.so
$(BUILD)/boundary/boundary.o: $(here)/test/boundary/boundary.cpp
	@mkdir -p '$(@D)'
	$(call show,CXX test/boundary/boundary.cpp)
	$(Q)$(COMPILE.cc) -o $@ '$<'
$(BUILD)/boundary/boundary.so: $(BOUNDARY_OBJS)
	$(Q)$(CXX) -shared -o $@ $^ $(LIBRARIES)
-include $(BUILD)/boundary/boundary.d

# --- the gateway, and lint -------------------------------------------------------------------------------------------

.PHONY: gateway
gateway:
	$(MAKE) -f '$(here)/gateway/Makefile' BUILD='$(CURDIR)/$(BUILD)/gateway' VPATH=

LINTED     = $(wildcard $(addprefix $(here)/,extension/*.cpp extension/*/*.[ch]pp gateway/*.[ch]pp test/*/*.[ch]pp))
# What is compiled here; the gateway's own Makefile knows its flags. A finding in any file fails in the end.
TIDIED     = $(filter-out $(here)/gateway/%,$(filter %.cpp,$(LINTED)))
TIDY_FLAGS = $(filter-out -MMD -MP,$(CXX_COMMON)) $(PG_CPPFLAGS)
.PHONY: lint lint-format lint-tidy
lint: lint-format lint-tidy
lint-format:
	clang-format --dry-run -Werror $(LINTED)
lint-tidy:
	printf '%s\n' $(TIDIED) | xargs -P$(or $(JOBS),2) -I{} clang-tidy --quiet {} -- $(TIDY_FLAGS) 2>/dev/null
	$(MAKE) -f '$(here)/gateway/Makefile' BUILD='$(CURDIR)/$(BUILD)/gateway' VPATH= lint-tidy
