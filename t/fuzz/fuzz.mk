# Long fuzzing with libFuzzer, called by "make fuzz": its objects are compiled by
# clang with other instrumentation than the module's, into fuzz.build/.

FLAGS = -std=gnu11 -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined -pthread
OUT = fuzz.build
objects = $(patsubst %.c,$(OUT)/%.o,$(filter %.c,$(SOURCES)))
programs = $(addprefix $(OUT)/,$(TARGETS))

.SECONDARY:
.PHONY: run
run: $(programs)
	@test -n '$(TARGETS)' || { echo 'no fuzz targets yet' >&2; exit 1; }
	@for target in $(TARGETS); do \
	  name=$${target##*/}; short=$${name#fuzz_}; \
	  mkdir -p $(OUT)/found/$$short $(OUT)/crashes; \
	  seeds=; dict=; \
	  for d in $(SRCDIR)/t/fuzz/corpus/$$short $(SRCDIR)/t/fuzz/corpus/$$name; do \
	    if test -d $$d; then seeds="$$seeds $$d"; fi; done; \
	  if test -f $(SRCDIR)/t/fuzz/$$short.dict; then dict=-dict=$(SRCDIR)/t/fuzz/$$short.dict; fi; \
	  echo "== $$name: $(FUZZ_SECONDS) seconds"; \
	  $(OUT)/$$target -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=10 -print_final_stats=1 \
	    -artifact_prefix=$(OUT)/crashes/$$short- $$dict $(OUT)/found/$$short $$seeds || exit 1; \
	done

$(OUT)/src/%.o: $(SRCDIR)/src/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FLAGS) -fsanitize=fuzzer-no-link $(CPPFLAGS) -MMD -c -o $@ $<

$(OUT)/t/fuzz/%.o: $(SRCDIR)/t/fuzz/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FLAGS) -fsanitize=fuzzer-no-link $(CPPFLAGS) -MMD -c -o $@ $<

$(programs): $(OUT)/t/fuzz/%: $(OUT)/t/fuzz/%.o $(objects)
	$(FUZZ_CC) $(FLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

-include $(objects:.o=.d) $(addsuffix .d,$(programs))
