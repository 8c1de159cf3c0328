meshconfdir = $(sysconfdir)/mesh-external-agent
dist_meshconf_DATA = packaging/config/mesh-external-agent.conf

polkitrulesdir = $(datadir)/polkit-1/rules.d
dist_polkitrules_DATA = packaging/polkit/50-mesh-external-agent.rules

bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/site-functions
EXTRA_DIST += packaging/completion/meshctl.bash packaging/completion/meshctl.zsh
install-data-local:
	$(MKDIR_P) '$(DESTDIR)$(bashcompletiondir)' '$(DESTDIR)$(zshcompletiondir)'
	$(INSTALL_DATA) $(srcdir)/packaging/completion/meshctl.bash '$(DESTDIR)$(bashcompletiondir)/meshctl'
	$(INSTALL_DATA) $(srcdir)/packaging/completion/meshctl.zsh '$(DESTDIR)$(zshcompletiondir)/_meshctl'
uninstall-local:
	rm -f '$(DESTDIR)$(bashcompletiondir)/meshctl' '$(DESTDIR)$(zshcompletiondir)/_meshctl'

# The Debian package, built from what `make dist` would ship, as packaging/debian says. DEB_SUFFIX makes
# a version of its own, as in `make deb DEB_SUFFIX=+local1`. Its build runs no tests: `make check` does.
debian_files = packaging/debian/changelog packaging/debian/control packaging/debian/copyright \
	packaging/debian/mesh-external-agent.lintian-overrides packaging/debian/mesh-external-agent.postrm \
	packaging/debian/mesh-external-agent.prerm packaging/debian/rules packaging/debian/source/format
EXTRA_DIST += $(debian_files)
DEB_DIR = deb
DEB_SUFFIX =
deb:
	@command -v dpkg-buildpackage >/dev/null && command -v dh >/dev/null || { \
		echo 'make deb: install dpkg-dev and debhelper' >&2; exit 1; }
	rm -rf '$(DEB_DIR)' && $(MKDIR_P) '$(DEB_DIR)/build'
	$(MAKE) $(AM_MAKEFLAGS) distdir distdir='$(DEB_DIR)/build/$(PACKAGE)'
	cd '$(DEB_DIR)/build/$(PACKAGE)' && mv packaging/debian debian && \
		$(SED) -i '1s/)/$(DEB_SUFFIX))/' debian/changelog && \
		{ DEB_BUILD_OPTIONS="nocheck $$DEB_BUILD_OPTIONS" DEB_BUILD_PROFILES=nocheck \
			dpkg-buildpackage -b -us -uc >../log 2>&1 || { tail -n 40 ../log >&2; exit 1; }; }
	cd '$(DEB_DIR)' && mv build/*.deb build/*.buildinfo build/*.changes . && rm -rf build && ls *.deb
clean-local:
	rm -rf '$(DEB_DIR)'
.PHONY: deb
