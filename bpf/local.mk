# The BPF programs: compiled, stripped of debug information but for BTF, and turned into C headers.
bpf_prog_inc = bpf/include/mesh_abi.h bpf/include/mesh_drop.h bpf/lib/backstop.h bpf/lib/common.h bpf/lib/config.h \
	bpf/lib/conntrack.h bpf/lib/counters.h bpf/lib/dns.h bpf/lib/encap.h bpf/lib/events.h bpf/lib/failsafe.h \
	bpf/lib/fragment.h bpf/lib/infra.h bpf/lib/ipcache.h bpf/lib/note.h bpf/lib/parse.h bpf/lib/policy.h bpf/lib/related.h \
	bpf/lib/service.h bpf/lib/shadow.h bpf/lib/verdict.h
bpf_prog_src = bpf/mesh_tc.bpf.c bpf/mesh_sock.bpf.c
BPF_SKELETONS = bpf/mesh_tc.skel.h bpf/mesh_sock.skel.h
# No path of the build is in the programs, so that each build gives the same bytes.
BPF_CFLAGS = -O2 -g -target bpf -mcpu=v2 -Wall -Wextra -Werror -ffile-prefix-map='$(abs_builddir)=.'

EXTRA_DIST += bpf/README.md $(bpf_prog_inc) $(bpf_prog_src)
BUILT_SOURCES += $(BPF_SKELETONS)
CLEANFILES += $(BPF_SKELETONS) bpf/mesh_tc.bpf.o bpf/mesh_sock.bpf.o

# The system's headers for <asm/types.h> are in a directory of the host architecture.
bpf_compile = m=`$(CC) -print-multiarch 2>/dev/null`; \
	$(CLANG) $(BPF_CFLAGS) -I$(top_srcdir)/bpf/include -I$(top_srcdir)/bpf -I/usr/include/$$m $(LIBBPF_CFLAGS)
# libbpf from its source, if configure was told so: the archive that is linked in, and its headers. Its makefile writes nothing
# beside that source.
if WITH_LIBBPF_SOURCE
libbpf_archive = bpf/libbpf/libbpf.a
BUILT_SOURCES += $(libbpf_archive)
$(libbpf_archive):
	@$(MKDIR_P) bpf/libbpf
	$(AM_V_GEN)$(MAKE) -s -C '$(LIBBPF_SOURCE)/src' BUILD_STATIC_ONLY=1 OBJDIR='$(abs_builddir)/bpf/libbpf' DESTDIR= \
		INCLUDEDIR='$(abs_builddir)/bpf/libbpf/include' UAPIDIR='$(abs_builddir)/bpf/libbpf/include' \
		CC='$(CC)' AR='$(AR)' CFLAGS='$(CFLAGS) $(HARDEN_CFLAGS)' \
		install_headers install_uapi_headers '$(abs_builddir)/$@'
endif
bpf/mesh_tc.bpf.o bpf/mesh_sock.bpf.o: $(libbpf_archive)

bpf/mesh_tc.bpf.o: bpf/mesh_tc.bpf.c $(bpf_prog_inc)
bpf/mesh_sock.bpf.o: bpf/mesh_sock.bpf.c $(bpf_prog_inc)
bpf/mesh_tc.bpf.o bpf/mesh_sock.bpf.o:
	@$(MKDIR_P) bpf
	$(AM_V_GEN)$(bpf_compile) -c $(top_srcdir)/$(@:.o=.c) -o $@.tmp && $(LLVM_STRIP) -g $@.tmp && mv $@.tmp $@

bpf/mesh_tc.skel.h: bpf/mesh_tc.bpf.o
	$(AM_V_GEN)$(BPFTOOL) gen skeleton bpf/mesh_tc.bpf.o >$@.tmp && mv $@.tmp $@
bpf/mesh_sock.skel.h: bpf/mesh_sock.bpf.o
	$(AM_V_GEN)$(BPFTOOL) gen skeleton bpf/mesh_sock.bpf.o >$@.tmp && mv $@.tmp $@

# The loader holds the programs; automake's dependency tracking knows that only after a first build.
agent/bpf/bpf_obj.$(OBJEXT): $(BPF_SKELETONS)
