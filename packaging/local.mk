meshconfdir = $(sysconfdir)/mesh-external-agent
dist_meshconf_DATA = packaging/config/mesh-external-agent.conf

polkitrulesdir = $(datadir)/polkit-1/rules.d
dist_polkitrules_DATA = packaging/polkit/50-mesh-external-agent.rules

bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/site-functions
EXTRA_DIST += packaging/completion/mesh-join.bash packaging/completion/mesh-join.zsh packaging/completion/meshctl.bash \
	packaging/completion/meshctl.zsh
install-data-local:
	$(MKDIR_P) '$(DESTDIR)$(bashcompletiondir)' '$(DESTDIR)$(zshcompletiondir)'
	$(INSTALL_DATA) $(srcdir)/packaging/completion/meshctl.bash '$(DESTDIR)$(bashcompletiondir)/meshctl'
	$(INSTALL_DATA) $(srcdir)/packaging/completion/meshctl.zsh '$(DESTDIR)$(zshcompletiondir)/_meshctl'
	$(INSTALL_DATA) $(srcdir)/packaging/completion/mesh-join.bash '$(DESTDIR)$(bashcompletiondir)/mesh-join'
	$(INSTALL_DATA) $(srcdir)/packaging/completion/mesh-join.zsh '$(DESTDIR)$(zshcompletiondir)/_mesh-join'
uninstall-local:
	rm -f '$(DESTDIR)$(bashcompletiondir)/meshctl' '$(DESTDIR)$(zshcompletiondir)/_meshctl' \
		'$(DESTDIR)$(bashcompletiondir)/mesh-join' '$(DESTDIR)$(zshcompletiondir)/_mesh-join'

# The Debian package, built from what `make dist` would ship, as packaging/debian says. DEB_SUFFIX makes
# a version of its own, as in `make deb DEB_SUFFIX=+local1`. Its build runs no tests: `make check` does. A libbpf that configure
# was given the source of goes where packaging/debian/rules looks for one.
debian_files = packaging/debian/changelog packaging/debian/control packaging/debian/copyright \
	packaging/debian/mesh-external-agent.postrm packaging/debian/mesh-external-agent.prerm packaging/debian/rules \
	packaging/debian/source/format
EXTRA_DIST += packaging/README.md $(debian_files)
DEB_DIR = deb
DEB_SUFFIX =
deb:
	@command -v dpkg-buildpackage >/dev/null && command -v dh >/dev/null || { \
		echo 'make deb: install build-essential and debhelper' >&2; exit 1; }
	rm -rf '$(DEB_DIR)' && $(MKDIR_P) '$(DEB_DIR)/build'
	$(MAKE) $(AM_MAKEFLAGS) distdir distdir='$(DEB_DIR)/build/$(PACKAGE)'
	cd '$(DEB_DIR)/build/$(PACKAGE)' && mv packaging/debian debian && \
		$(SED) -i '1s/)/$(DEB_SUFFIX))/' debian/changelog && \
		{ test -z '$(LIBBPF_SOURCE)' || cp -R '$(LIBBPF_SOURCE)' debian/libbpf; } && \
		{ DEB_BUILD_OPTIONS="nocheck $$DEB_BUILD_OPTIONS" \
			DEB_BUILD_PROFILES='nocheck $(if $(LIBBPF_SOURCE),pkg.mesh-external-agent.libbpf)' \
			dpkg-buildpackage -b -us -uc >../log 2>&1 || { tail -n 40 ../log >&2; exit 1; }; }
	cd '$(DEB_DIR)' && mv build/*.deb build/*.buildinfo build/*.changes . && rm -rf build && ls *.deb

# The same as an RPM, by packaging/rpm; RPM_SUFFIX makes a release of its own. Where rpm is not what the system is
# installed by, it cannot know what is there: the dependencies of the build are then not looked at. configure
# says which is missing. The source package has the scripts with all folders in them, so it is made with relative ones.
EXTRA_DIST += packaging/rpm/mesh-external-agent.spec packaging/rpm/mesh-external-agent.rpmlintrc
RPM_DIR = rpm
RPM_SUFFIX =
RPM_FLAGS =
rpm:
	@command -v rpmbuild >/dev/null && test -x /usr/bin/find-debuginfo || { \
		echo 'make rpm: install rpmbuild and debugedit (Debian: rpm, debugedit, elfutils)' >&2; exit 1; }
	rm -rf '$(RPM_DIR)' && $(MKDIR_P) '$(RPM_DIR)/build/SOURCES'
	$(MAKE) $(AM_MAKEFLAGS) distdir distdir='$(RPM_DIR)/build/$(distdir)'
	@cd '$(RPM_DIR)/build' && tar --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mode=a+rX,u+w,go-w \
		--mtime="$$(sed -n '/^%changelog/{n;s/^. \(.\{15\}\) .*/\1 UTC/p}' '$(distdir)/packaging/rpm/mesh-external-agent.spec')" -cJf 'SOURCES/$(distdir).tar.xz' '$(distdir)' && \
		chmod 0644 'SOURCES/$(distdir).tar.xz' '$(distdir)/packaging/rpm/mesh-external-agent.spec' && \
		{ rpm -q rpm >/dev/null 2>&1 || nodeps=--nodeps; } && \
		set -- $$nodeps --define "_topdir $$PWD" --define 'local_suffix $(or $(RPM_SUFFIX),%{nil})' $(RPM_FLAGS) \
			$(if $(LIBBPF_SOURCE),--define 'libbpf_source $(LIBBPF_SOURCE)') \
			"$$PWD/$(distdir)/packaging/rpm/mesh-external-agent.spec" && \
		{ (rpmbuild -bb "$$@" && cd SOURCES && rpmbuild -bs --define '_builddir .' \
			--define '_buildrootdir .' --define '_sourcedir .' "$$@") >../log 2>&1 || { tail -n 40 ../log >&2; exit 1; }; }
	cd '$(RPM_DIR)' && mv build/SRPMS/*.rpm build/RPMS/*/*.rpm . && rm -rf build && ls *.rpm
clean-local:
	rm -rf '$(DEB_DIR)' '$(RPM_DIR)' bpf/libbpf
.PHONY: deb rpm
