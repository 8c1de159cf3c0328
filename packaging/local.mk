meshconfdir = $(sysconfdir)/mesh-external-agent
dist_meshconf_DATA = packaging/config/mesh-external-agent.conf

bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/site-functions
EXTRA_DIST += packaging/completion/meshctl.bash packaging/completion/meshctl.zsh
install-data-local:
	$(MKDIR_P) '$(DESTDIR)$(bashcompletiondir)' '$(DESTDIR)$(zshcompletiondir)'
	$(INSTALL_DATA) $(srcdir)/packaging/completion/meshctl.bash '$(DESTDIR)$(bashcompletiondir)/meshctl'
	$(INSTALL_DATA) $(srcdir)/packaging/completion/meshctl.zsh '$(DESTDIR)$(zshcompletiondir)/_meshctl'
uninstall-local:
	rm -f '$(DESTDIR)$(bashcompletiondir)/meshctl' '$(DESTDIR)$(zshcompletiondir)/_meshctl'
