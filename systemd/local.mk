# The units, their user, directories and preset. Each goes to the folder of the systemd part that reads it.
EXTRA_DIST += systemd/mesh-external-agent.service.in systemd/mesh-external-agent-drain.service.in \
	systemd/mesh-external-agent-resolver.service.in systemd/mesh-join.service.in systemd/mesh-external-agent.sysusers \
	systemd/mesh-external-agent.tmpfiles
CLEANFILES += $(nodist_systemdsystemunit_DATA) systemd/sysusers.d/mesh-external-agent.conf \
	systemd/tmpfiles.d/mesh-external-agent.conf

nodist_systemdsystemunit_DATA = systemd/mesh-external-agent.service systemd/mesh-external-agent-drain.service \
	systemd/mesh-external-agent-resolver.service systemd/mesh-join.service
dist_systemdsystemunit_DATA = systemd/mesh-external-agent-resolver.path
$(nodist_systemdsystemunit_DATA): Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && $(SED) -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@bindir[@]|$(bindir)|g' \
		$(srcdir)/$@.in >$@.tmp && mv $@.tmp $@
systemd/mesh-external-agent.service: $(srcdir)/systemd/mesh-external-agent.service.in
systemd/mesh-external-agent-drain.service: $(srcdir)/systemd/mesh-external-agent-drain.service.in
systemd/mesh-external-agent-resolver.service: $(srcdir)/systemd/mesh-external-agent-resolver.service.in
systemd/mesh-join.service: $(srcdir)/systemd/mesh-join.service.in

sysusersdir = $(prefix)/lib/sysusers.d
nodist_sysusers_DATA = systemd/sysusers.d/mesh-external-agent.conf
systemd/sysusers.d/mesh-external-agent.conf: $(srcdir)/systemd/mesh-external-agent.sysusers
	$(AM_V_GEN)$(MKDIR_P) systemd/sysusers.d && cp $(srcdir)/systemd/mesh-external-agent.sysusers $@

tmpfilesdir = $(prefix)/lib/tmpfiles.d
nodist_tmpfiles_DATA = systemd/tmpfiles.d/mesh-external-agent.conf
systemd/tmpfiles.d/mesh-external-agent.conf: $(srcdir)/systemd/mesh-external-agent.tmpfiles
	$(AM_V_GEN)$(MKDIR_P) systemd/tmpfiles.d && cp $(srcdir)/systemd/mesh-external-agent.tmpfiles $@

presetdir = $(prefix)/lib/systemd/system-preset
dist_preset_DATA = systemd/90-mesh-external-agent.preset
