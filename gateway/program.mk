# How a program is installed, and the page of its manual. Included by the Makefile of each, which sets
#
#   program   gateway or courier: the program is usher-NAME, its unit and its options are in deploy/, its page is usher-NAME.8.in beside
#             its Makefile
#   source    the folder of the checkout
#   here, BUILD, USHER_VERSION, Q, show
#
# make install: prefix (/usr/local), sysconfdir, unitdir and DESTDIR are honoured. install-program leaves out the unit and the options.

name := usher-$(program)
unit := $(source)/deploy/$(name).service
# that, and the template for several of them on one machine
units = $(unit) $(source)/deploy/$(name)@.service

$(BUILD)/$(name).8: $(BUILD)/$(name) $(source)/gateway/make-man $(here)/$(name).8.in
	$(Q)'$(source)/gateway/make-man' '$<' '$(here)/$(name).8.in' '$(USHER_VERSION)' > '$@.new' && mv '$@.new' '$@'

# Below a prefix of its own a program has its configuration there too, as GNU's rules say; /usr has /etc.
prefix     ?= /usr/local
bindir     ?= $(prefix)/bin
datadir    ?= $(prefix)/share
mandir     ?= $(datadir)/man
sysconfdir ?= $(if $(filter /usr,$(prefix)),/etc,$(prefix)/etc)
unitdir    ?= $(prefix)/lib/systemd/system
to   = '$(DESTDIR)$1'
here_paths = sed 's|/usr/bin/|$(bindir)/|; s|/etc/usher/|$(sysconfdir)/usher/|'

.PHONY: install install-program
install-program: all
	install -d $(call to,$(bindir)) $(call to,$(mandir)/man8)
	install -m 0755 '$(BUILD)/$(name)' $(call to,$(bindir))
	install -m 0644 '$(BUILD)/$(name).8' $(call to,$(mandir)/man8)
# Options that are there already stay. So do the files that the unit loads as credentials; without one of them it would not start, so
# there is an empty one at first, which only root can read.
install: install-program
	install -d $(call to,$(sysconfdir)/usher) $(call to,$(unitdir))
	for unit in $(foreach unit,$(units),'$(unit)'); do \
	    $(here_paths) "$$unit" > $(call to,$(unitdir))/"$${unit##*/}" && chmod 0644 $(call to,$(unitdir))/"$${unit##*/}" || exit 1; \
	done
	[ -e $(call to,$(sysconfdir)/usher/$(program).json) ] || \
	    install -m 0644 '$(source)/deploy/$(program).json' $(call to,$(sysconfdir)/usher)
	for secret in $$($(here_paths) '$(unit)' | sed -n 's/^LoadCredential=[^:]*://p'); do \
	    [ -e $(call to)"$$secret" ] || install -m 0600 /dev/null $(call to)"$$secret" || exit 1; \
	done
