# usher: plain PGXS. `make && make install && make installcheck`; PG_CONFIG= and DESTDIR= are honoured.
#
# What is built goes into build/ (usher.so, which PGXS wants there, into the current folder). In a folder of its own,
# `make -f /path/to/usher/Makefile VPATH=/path/to/usher`, it goes into that folder.
#
#   make, make install, make installcheck    the extensions (no clang needed)
#   make unit                                the pure C++ under GoogleTest (SANITIZE=1: with ASan and UBSan)
#   make boundary                            test functions for extension/pg, a library of their own
#   make fuzz                                the parsers under libFuzzer (clang), FUZZ_SECONDS each
#   make gateway, make install-gateway       the HTTP gateway; prefix= (/usr/local) and DESTDIR= are honoured
#   make courier                             the program that sends mail and HTTP requests
#   make lint                                the style of SQL, clang-format and clang-tidy
#
# ./dev does all of this, and the servers needed for it, in one command.

here  := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
BUILD := $(if $(filter .,$(here)),build,.)

# The one place of the version number is META.json: its first "version". Control files and scripts get it from here.
USHER_VERSION := $(shell sed -n '/^  "version":/{s/.*: "\(.*\)".*/\1/p;q}' '$(here)/META.json')

# One folder under sql/ is one extension; all of them live in one shared library.
EXTENSIONS := $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard $(here)/sql/*/*.control)))))
SOURCES    := $(patsubst $(here)/extension/%,%,$(wildcard $(addprefix $(here)/extension/,*.cpp */*.cpp */*/*.cpp)))
# Those that know nothing of the server: unit tests, fuzzers and the gateway are built from them too.
PURE       := $(shell sh '$(here)/tools/pure_sources.sh' '$(here)/extension')

# --- the extensions --------------------------------------------------------------------------------------------------

MODULE_big = usher
OBJS       = $(SOURCES:%.cpp=$(BUILD)/obj/%.o)
MODULEDIR  = extension
# Beside the upgrade scripts lie the steps that they are made from (docs/upgrade.md).
UPDATES    = $(foreach e,$(EXTENSIONS),$(wildcard $(here)/sql/$e/updates/$e--*.sql))
DATA_built = $(foreach e,$(EXTENSIONS),$(BUILD)/sql/$e.control $(BUILD)/sql/$e--$(USHER_VERSION).sql) \
             $(addprefix $(BUILD)/sql/,$(notdir $(UPDATES)))
EXTRA_CLEAN = $(BUILD)/libusher_kit.a $(BUILD)/obj $(BUILD)/sql $(BUILD)/unit $(BUILD)/unit-sanitized $(BUILD)/fuzz $(BUILD)/boundary $(BUILD)/gateway $(BUILD)/courier $(BUILD)/regress

PG_CONFIG  ?= pg_config
LIBRARIES   = -lcrypto -largon2 -lcrypt -licuuc
CXX_COMMON  = -std=c++20 -MMD -MP -DUSHER_VERSION='"$(USHER_VERSION)"' -I'$(here)/extension'

# -isystem: the server's headers are not ours to warn about, and libpq's are not wanted here.
PG_CPPFLAGS = -isystem $(shell $(PG_CONFIG) --includedir-server)
# SANITIZE_LIBRARY: more sanitizers for the library, on a server that has them already (./dev test-long asan)
PG_CXXFLAGS = $(CXX_COMMON) -Wall -Wextra -Wshadow -fvisibility=hidden -fvisibility-inlines-hidden $(WERROR) $(SANITIZE_LIBRARY)
# PGXS links with the C compiler.
SHLIB_LINK  = -lstdc++ $(LIBRARIES) $(SANITIZE_LIBRARY) -Wl,--version-script='$(here)/extension/exports.map'
# The bitcode rule would compile C++20 with clang and without our flags; it brings us nothing.
override with_llvm := no

REGRESS        = $(shell sed -n 's/^test: *//p' '$(here)/test/schedule' 2>/dev/null)
REGRESS_OPTS   = --inputdir=$(BUILD)/regress --outputdir=$(BUILD)/regress
REGRESS_PREP   = regress-folder
# all_isolation_setup makes the extensions that all others use
ISOLATION      = all_isolation_setup $(filter-out all_isolation_setup,$(notdir $(basename $(sort $(wildcard $(here)/test/specs/*.spec)))))
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

# Headers are most of what a file costs to compile: what many files share is compiled once, and named to the compiler
# with -include. Every file still includes what it uses: the fuzzers and the linter compile without these.
SHARED_HEADERS = common/standard pg/pg
$(SHARED_HEADERS:%=$(BUILD)/obj/headers/%.hpp.gch): $(BUILD)/obj/headers/%.hpp.gch: $(here)/extension/%.hpp $(here)/Makefile
	@mkdir -p '$(@D)'
	$(call show,CXX $*.hpp)
	@echo '#include "$*.hpp"' > $(@:.gch=)
	$(Q)$(COMPILE.cc) -x c++-header -o $@ $(@:.gch=)

$(BUILD)/obj/init.o: $(here)/META.json # has the version in it
PURE_OBJS = $(PURE:%.cpp=$(BUILD)/obj/%.o)
$(PURE_OBJS): SHARED_HEADER = common/standard
$(PURE_OBJS): $(BUILD)/obj/headers/common/standard.hpp.gch
$(filter-out $(PURE_OBJS),$(OBJS)): SHARED_HEADER = pg/pg
$(filter-out $(PURE_OBJS),$(OBJS)): $(BUILD)/obj/headers/pg/pg.hpp.gch
$(OBJS): $(BUILD)/obj/%.o: $(here)/extension/%.cpp
	@mkdir -p '$(@D)'
	$(call show,CXX $*.cpp)
	$(Q)$(COMPILE.cc) -include $(BUILD)/obj/headers/$(SHARED_HEADER).hpp -o $@ '$<'

# sql/<extension>/order lists the parts of an install script. In the script CREATE OR REPLACE becomes CREATE: nobody can plant an
# object for us to take over.
parts = $(addprefix $(here)/sql/$1/,$(shell cat '$(here)/sql/$1/order'))
define script_rules
$(BUILD)/sql/$1.control: $(here)/sql/$1/$1.control $(here)/META.json
	@mkdir -p $(BUILD)/sql
	sed 's/@USHER_VERSION@/$(USHER_VERSION)/' '$$<' > $$@
$(BUILD)/sql/$1--$(USHER_VERSION).sql: $(here)/sql/$1/order $(call parts,$1) $(here)/META.json
	@mkdir -p $(BUILD)/sql
	for part in $(call parts,$1); do cat "$$$$part"; echo; done | sed 's/^CREATE OR REPLACE /CREATE /' > $$@
endef
$(foreach e,$(EXTENSIONS),$(eval $(call script_rules,$e)))
define update_rule
$(BUILD)/sql/$(notdir $1): $1
	@mkdir -p $(BUILD)/sql
	cp '$$<' '$$@'
endef
$(foreach u,$(UPDATES),$(eval $(call update_rule,$u)))

# --- what extensions of others are built with: headers, a library to link, a makefile to include (docs/write-an-extension.md) ---

KIT_HEADERS = $(patsubst $(here)/extension/%,%,$(wildcard $(addprefix $(here)/extension/,common/*.hpp pg/*.hpp kit/*.hpp)))
KIT_FOLDER  = $(includedir_server)/extension/usher
all: $(BUILD)/libusher_kit.a
$(BUILD)/libusher_kit.a: $(filter $(BUILD)/obj/common/% $(BUILD)/obj/pg/% $(BUILD)/obj/kit/%,$(OBJS))
	$(Q)rm -f '$@' && ar crs '$@' $^
.PHONY: install-kit uninstall-kit
install: install-kit
install-kit: $(BUILD)/libusher_kit.a
	$(MKDIR_P) $(addprefix '$(DESTDIR)$(KIT_FOLDER)'/,common pg kit) '$(DESTDIR)$(datadir)/usher' '$(DESTDIR)$(pkglibdir)'
	$(Q)for header in $(KIT_HEADERS); do $(INSTALL_DATA) "$(here)/extension/$$header" "$(DESTDIR)$(KIT_FOLDER)/$$header" || exit 1; done
	$(INSTALL_DATA) '$(here)/extension/kit/usher.mk' '$(DESTDIR)$(datadir)/usher/'
	$(INSTALL_DATA) '$<' '$(DESTDIR)$(pkglibdir)/'
uninstall: uninstall-kit
uninstall-kit:
	rm -rf '$(DESTDIR)$(KIT_FOLDER)' '$(DESTDIR)$(datadir)/usher' '$(DESTDIR)$(pkglibdir)/libusher_kit.a'

# pg_regress wants sql/, specs/ and expected/ side by side.
.PHONY: regress-folder
regress-folder:
	@mkdir -p $(BUILD)/regress
	@ln -sfn "$$(cd '$(here)' && pwd)/test/regress"  $(BUILD)/regress/sql
	@ln -sfn "$$(cd '$(here)' && pwd)/test/specs"    $(BUILD)/regress/specs
	@ln -sfn "$$(cd '$(here)' && pwd)/test/expected" $(BUILD)/regress/expected

# --- pure C++ on its own: unit tests and fuzzing ---------------------------------------------------------------------
# `make unit` tests the objects of the library itself. With SANITIZE set they are compiled anew, with its sanitizers.

UNIT_TESTS := $(notdir $(basename $(wildcard $(here)/test/unit/*.cpp)))
FUZZERS    := $(notdir $(basename $(wildcard $(here)/test/fuzz/*_fuzzer.cpp)))
SANITIZERS  = -fsanitize=address,undefined -fno-sanitize-recover=all
UNIT        = $(BUILD)/unit$(if $(SANITIZE),-sanitized)
# With sanitizers g++ 12 takes parts of its own <regex> for uninitialized, and of its own strings for out of bounds.
UNIT_FLAGS  = $(CXX_COMMON) -I'$(here)/gateway' $(if $(SANITIZE),-O1 $(SANITIZERS),-O0) -g -Wall -Wextra -Wshadow -Wno-maybe-uninitialized -Wno-array-bounds $(WERROR)
UNIT_PURE   = $(if $(SANITIZE),$(PURE:%.cpp=$(UNIT)/pure/%.o),$(PURE_OBJS))
UNIT_OBJS   = $(UNIT_TESTS:%=$(UNIT)/test/%.o)

.PHONY: unit unit-build fuzz fuzz-build
unit: unit-build
	USHER_SOURCE='$(here)' $(UNIT)/usher_unit_test $(UNIT_OPTS)
unit-build: $(UNIT)/usher_unit_test

UNIT_HEADERS = $(UNIT)/headers/headers.hpp
$(UNIT_HEADERS).gch: $(here)/test/unit/headers.hpp $(here)/Makefile
	@mkdir -p '$(@D)'
	$(call show,CXX test/unit/headers.hpp)
	@echo '#include "$<"' > $(UNIT_HEADERS)
	$(Q)g++ $(UNIT_FLAGS) -x c++-header -o $@ $(UNIT_HEADERS)
$(UNIT)/usher_unit_test: $(UNIT_OBJS) $(UNIT_PURE)
	$(Q)g++ $(if $(SANITIZE),$(SANITIZERS)) -o $@ $^ -lgtest_main -lgtest -lpthread $(LIBRARIES)
$(UNIT)/pure/%.o: $(here)/extension/%.cpp
	@mkdir -p '$(@D)'
	$(call show,CXX $(@:$(BUILD)/%.o=%))
	$(Q)g++ $(UNIT_FLAGS) -c -o $@ '$<'
$(UNIT)/test/%.o: $(here)/test/unit/%.cpp $(UNIT_HEADERS).gch
	@mkdir -p '$(@D)'
	$(call show,CXX $(@:$(BUILD)/%.o=%))
	$(Q)g++ $(UNIT_FLAGS) -include $(UNIT_HEADERS) -c -o $@ '$<'

FUZZ_CXX     ?= clang++
FUZZ_SECONDS ?= 20
fuzz-build: $(FUZZERS:%=$(BUILD)/fuzz/%)
fuzz: fuzz-build
	@set -e; for f in $(FUZZERS); do \
	    echo "=== $$f"; mkdir -p $(BUILD)/fuzz/corpus/$$f; \
	    $(BUILD)/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=5 -print_final_stats=1 \
	        -artifact_prefix=$(BUILD)/fuzz/$$f- $(BUILD)/fuzz/corpus/$$f $$(ls -d '$(here)'/test/fuzz/corpus/$$f 2>/dev/null); \
	done
$(BUILD)/fuzz/pure/%.o: $(here)/extension/%.cpp
	@mkdir -p '$(@D)'
	$(call show,CLANG $(@:$(BUILD)/%=%))
	$(Q)$(FUZZ_CXX) $(CXX_COMMON) -O1 -g $(SANITIZERS) -fsanitize=fuzzer-no-link -c -o $@ '$<'
$(FUZZERS:%=$(BUILD)/fuzz/%): $(BUILD)/fuzz/%: $(here)/test/fuzz/%.cpp $(PURE:%.cpp=$(BUILD)/fuzz/pure/%.o)
	$(call show,CLANG $(@:$(BUILD)/%=%))
	$(Q)$(FUZZ_CXX) $(filter-out -MMD -MP,$(CXX_COMMON)) -I'$(here)/gateway' -O1 -g $(SANITIZERS) -fsanitize=fuzzer -o $@ '$<' $(filter %.o,$^) $(LIBRARIES)

-include $(OBJS:.o=.d) $(SHARED_HEADERS:%=$(BUILD)/obj/headers/%.hpp.d) $(UNIT_OBJS:.o=.d) $(UNIT_HEADERS).d \
         $(PURE:%.cpp=$(UNIT)/pure/%.d) $(PURE:%.cpp=$(BUILD)/fuzz/pure/%.d)

# --- test functions for the C++ boundary: a library of their own with their own copy of extension/pg ------------------

BOUNDARY_OBJS = $(BUILD)/boundary/boundary.o $(filter $(BUILD)/obj/pg/% $(BUILD)/obj/common/%,$(OBJS))
.PHONY: boundary
boundary: $(BUILD)/boundary/boundary.so
$(BUILD)/boundary/boundary.o: $(here)/test/boundary/boundary.cpp $(BUILD)/obj/headers/pg/pg.hpp.gch
	@mkdir -p '$(@D)'
	$(call show,CXX test/boundary/boundary.cpp)
	$(Q)$(COMPILE.cc) -include $(BUILD)/obj/headers/pg/pg.hpp -o $@ '$<'
$(BUILD)/boundary/boundary.so: $(BOUNDARY_OBJS)
	$(Q)$(CXX) -shared -o $@ $^ $(LIBRARIES)
-include $(BUILD)/boundary/boundary.d

# --- the gateway, and lint -------------------------------------------------------------------------------------------

# What gateway/Makefile, where the list is, would compile for itself when it runs alone.
GATEWAY_SHARES := $(shell sed -n 's/^SHARED *:= *//p' '$(here)/gateway/Makefile')
.PHONY: gateway install-gateway
gateway install-gateway: $(GATEWAY_SHARES:%=$(BUILD)/obj/%.o)
	$(MAKE) -f '$(here)/gateway/Makefile' BUILD='$(CURDIR)/$(BUILD)/gateway' SHARED_OBJS='$(addprefix $(CURDIR)/,$^)' VPATH= \
	    $(if $(filter install-gateway,$@),install,all)

COURIER_SHARES := $(shell sed -n 's/^SHARED *:= *//p' '$(here)/gateway/courier/Makefile')
.PHONY: courier
courier: $(COURIER_SHARES:%=$(BUILD)/obj/%.o)
	$(MAKE) -f '$(here)/gateway/courier/Makefile' BUILD='$(CURDIR)/$(BUILD)/courier' SHARED_OBJS='$(addprefix $(CURDIR)/,$^)' VPATH=

LINTED     = $(wildcard $(addprefix $(here)/,extension/*.cpp extension/*/*.[ch]pp extension/*/*/*.[ch]pp gateway/*.[ch]pp gateway/courier/*.[ch]pp test/*/*.[ch]pp))
# What is compiled here; the gateway's own Makefile knows its flags. A finding in any file fails in the end.
TIDIED     = $(filter-out $(here)/gateway/%,$(filter %.cpp,$(LINTED)))
TIDY_FLAGS = $(filter-out -MMD -MP,$(CXX_COMMON)) $(PG_CPPFLAGS)
.PHONY: lint lint-sql lint-format lint-tidy
lint: lint-sql lint-format lint-tidy
lint-sql:
	SRC='$(here)' sh '$(here)/test/checks/sql_style.sh'
lint-format:
	clang-format --dry-run -Werror $(LINTED)
lint-tidy:
	printf '%s\n' $(TIDIED) | xargs -P$(or $(JOBS),2) -I{} clang-tidy --quiet {} -- $(TIDY_FLAGS) 2>/dev/null
	$(MAKE) -f '$(here)/gateway/Makefile' BUILD='$(CURDIR)/$(BUILD)/gateway' VPATH= lint-tidy
	$(MAKE) -f '$(here)/gateway/courier/Makefile' BUILD='$(CURDIR)/$(BUILD)/courier' VPATH= lint-tidy
