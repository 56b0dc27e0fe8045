# Builds and installs zvfs: the command, libzvfs, libzvm, the providers, the program that runs one in a process of its own, headers,
# manual pages, completions, the SDK in Rust, guides and examples.
#
#     make                                builds with Cargo, optimised
#     make WITH="object sftp"             with larger providers too, and `mount` for `zvfs mount`; the same WITH when installing
#     make MODULES="nginx redis"          with modules for servers too (nginx, apache, redis); the same MODULES when installing
#     make install                        into /usr/local; as root, if that is root's
#     make install PREFIX=$HOME/zvfs      somewhere else
#     make install DESTDIR=/tmp/package PREFIX=/usr
#     make uninstall                      with the same PREFIX and DESTDIR
#
# For work on zvfs itself use Cargo (CONTRIBUTING.md); everything here but `make` needs nothing but what was built.

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
INSTALL ?= install

# The recipes don't quote: a space would make two places of one, and uninstall would delete in both.
ifneq ($(words x$(PREFIX)x x$(DESTDIR)x),2)
$(error PREFIX and DESTDIR must not hold spaces)
endif
ifneq ($(filter-out /%,$(PREFIX)),)
$(error PREFIX must be an absolute path)
endif

# What was built, and where: the programs lie in TARGET, the libraries in LIBRARIES.
TARGET ?= target/dist
LIBRARIES ?= $(TARGET)
# Those that Cargo builds by default, and the larger ones that are asked for: they bring a library of a hundred packages each.
WITH ?=
# A module needs the headers of its server, which its README names.
MODULES ?=
MODULE_MAKE = $(MAKE) DESTDIR=$(DESTDIR) ZVM_CFLAGS=-I$(CURDIR)/include \
    ZVM_LIBS="-L$(abspath $(LIBRARIES)) -l:libzvm_session.so -Wl,-rpath,$(LIBDIR)"
PROVIDERS = $(shell sed -n '/^default-members/,/^]/s|.*"providers/\(.*\)",|\1|p' Cargo.toml) $(filter-out mount,$(WITH))
# The command's own programs, apart from it.
PROGRAMS = $(filter mount,$(WITH))

BINDIR = $(PREFIX)/bin
# The command and libzvfs look for providers in ../lib/zvfs, seen from their own folders.
LIBDIR = $(PREFIX)/lib
PROVIDERDIR = $(PREFIX)/lib/zvfs
INCLUDEDIR = $(PREFIX)/include
PKGCONFIGDIR = $(LIBDIR)/pkgconfig
MANDIR = $(PREFIX)/share/man
DOCDIR = $(PREFIX)/share/doc
# What authors need, and who builds modules for servers, laid out as in this repository, so that a path in a guide or an example holds here too.
SDKDIR = $(PREFIX)/share/zvfs
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR = $(PREFIX)/share/zsh/site-functions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d

# The number of libzvfs's interface: capi/build.rs gives the library the same name.
SONAME = libzvfs.so.1
# That of libzvm, by capi/zvm/build.rs. Cargo calls it libzvm_session: the crate zvm has the other name there.
ZVM_SONAME = libzvm.so.1
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
HEADERS = zvfs.h zvm.h zvm_session.h zvfs_provider.h
PACKAGES = zvfs.pc zvfs-provider.pc zvm.pc
# By their names' ends, so that nothing comes along that somebody built there.
SDK = $(shell find README.md DESIGN.md CHANGELOG.md SECURITY.md LICENSE docs examples modules vfs-core \
    \( -name target -o -name build \) -prune -o -type f \( \
    -name '*.md' -o -name '*.rs' -o -name '*.toml' -o -name '*.lock' -o -name '*.c' -o -name '*.h' -o -name '*.sh' -o -name '*.manifest' \
    -o -name '*.txt' -o -name '*.wat' -o -name LICENSE -o -name Makefile -o -name config \) -print)

all:
	$(CARGO) build --profile dist -p zvfs-cli -p zvfs-provider -p zvfs-capi -p zvfs-capi-zvm $(PROVIDERS:%=-p zvfs-%) $(PROGRAMS:%=-p zvfs-%)
	for module in $(MODULES); do $(MODULE_MAKE) -C modules/$$module || exit 1; done

# All of it is looked for before anything is installed.
install: $(TARGET)/zvfs $(TARGET)/zvfs-provider $(PROGRAMS:%=$(TARGET)/zvfs-%) $(LIBRARIES)/libzvfs.so $(LIBRARIES)/libzvfs.a $(LIBRARIES)/libzvm_session.so $(PROVIDERS:%=$(LIBRARIES)/libzvfs_%.so)
	$(INSTALL) -d $(addprefix $(DESTDIR),$(BINDIR) $(PROVIDERDIR) $(INCLUDEDIR) $(PKGCONFIGDIR) $(MANDIR)/man1 $(BASHDIR) $(ZSHDIR) $(FISHDIR))
	$(INSTALL) -m 755 $(TARGET)/zvfs $(PROGRAMS:%=$(TARGET)/zvfs-%) $(DESTDIR)$(BINDIR)
	$(INSTALL) -m 644 $(LIBRARIES)/libzvfs.so $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libzvfs.so
	$(INSTALL) -m 644 $(LIBRARIES)/libzvfs.a $(DESTDIR)$(LIBDIR)/libzvfs.a
	$(INSTALL) -m 644 $(LIBRARIES)/libzvm_session.so $(DESTDIR)$(LIBDIR)/$(ZVM_SONAME)
	ln -sf $(ZVM_SONAME) $(DESTDIR)$(LIBDIR)/libzvm.so
	$(INSTALL) -m 644 $(PROVIDERS:%=$(LIBRARIES)/libzvfs_%.so) $(DESTDIR)$(PROVIDERDIR)
	$(INSTALL) -m 755 $(TARGET)/zvfs-provider $(DESTDIR)$(PROVIDERDIR)/zvfs-provider
	$(INSTALL) -m 644 $(HEADERS:%=include/%) $(DESTDIR)$(INCLUDEDIR)
	for package in $(PACKAGES); do \
	    sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@SDKDIR@|$(SDKDIR)|' \
	        -e 's|@PROVIDERDIR@|$(PROVIDERDIR)|; s|@VERSION@|$(VERSION)|' \
	        capi/$$package.in > $(DESTDIR)$(PKGCONFIGDIR)/$$package && chmod 644 $(DESTDIR)$(PKGCONFIGDIR)/$$package || exit 1; \
	done
	for file in $(SDK); do $(INSTALL) -D -m 644 $$file $(DESTDIR)$(SDKDIR)/$$file || exit 1; done
	ln -sfn ../../include $(DESTDIR)$(SDKDIR)/include
	$(INSTALL) -d $(DESTDIR)$(DOCDIR)
	ln -sfn ../zvfs/docs $(DESTDIR)$(DOCDIR)/zvfs
	words=$$(mktemp -d) && $(TARGET)/zvfs generate $$words && \
	$(INSTALL) -m 644 $$words/man/man1/*.1 $(DESTDIR)$(MANDIR)/man1 && \
	$(INSTALL) -m 644 $$words/bash/zvfs.bash $(DESTDIR)$(BASHDIR)/zvfs && \
	$(INSTALL) -m 644 $$words/zsh/_zvfs $(DESTDIR)$(ZSHDIR)/_zvfs && \
	$(INSTALL) -m 644 $$words/fish/zvfs.fish $(DESTDIR)$(FISHDIR)/zvfs.fish && \
	rm -r $$words
	for module in $(MODULES); do $(MODULE_MAKE) -C modules/$$module install || exit 1; done
	@echo "installed in $(DESTDIR)$(PREFIX); run ldconfig if its lib is one of the linker's folders"

# What is missing: neither make nor a user wants to guess how it is built.
$(TARGET)/zvfs $(TARGET)/zvfs-provider $(TARGET)/zvfs-mount:
	@echo "$@ is not built: run \`make\` first" >&2; exit 1
$(LIBRARIES)/libzvfs% $(LIBRARIES)/libzvm%:
	@echo "$@ is not built: run \`make\` first" >&2; exit 1

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/zvfs $(DESTDIR)$(BINDIR)/zvfs-mount
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,$(SONAME) libzvfs.so libzvfs.a $(ZVM_SONAME) libzvm.so)
	rm -f $(patsubst providers/%,$(DESTDIR)$(PROVIDERDIR)/libzvfs_%.so,$(wildcard providers/*)) $(DESTDIR)$(PROVIDERDIR)/zvfs-provider
	rm -f $(HEADERS:%=$(DESTDIR)$(INCLUDEDIR)/%) $(PACKAGES:%=$(DESTDIR)$(PKGCONFIGDIR)/%)
	rm -f $(DESTDIR)$(MANDIR)/man1/zvfs.1 $(DESTDIR)$(MANDIR)/man1/zvfs-*.1
	rm -f $(DESTDIR)$(BASHDIR)/zvfs $(DESTDIR)$(ZSHDIR)/_zvfs $(DESTDIR)$(FISHDIR)/zvfs.fish
	rm -rf $(addprefix $(DESTDIR)$(SDKDIR)/,docs examples modules vfs-core)
	rm -f $(addprefix $(DESTDIR)$(SDKDIR)/,README.md DESIGN.md CHANGELOG.md SECURITY.md LICENSE include) $(DESTDIR)$(DOCDIR)/zvfs
	for module in $(MODULES); do $(MODULE_MAKE) -C modules/$$module uninstall || exit 1; done
	-rmdir $(DESTDIR)$(PROVIDERDIR) $(DESTDIR)$(SDKDIR)

.PHONY: all install uninstall
